// What Swift's own C library module does not offer for writing files: holes, an early writeback, and
// HDF5's checksum. No system header that depends on feature macros shows through: two modules that disagree about those
// cannot be imported together.
#pragma once
#include <stddef.h>
#include <stdint.h>

// Gives the disk space of a part of a file back; the part then reads as zeros. Returns 0, or -1 where the
// system cannot.
int peco_punch_hole(int descriptor, long long offset, long long length);

// Has the disk begin to take up what of a file waits in memory, and does not wait for it. A hint: it may do nothing.
void peco_start_writeback(int descriptor);

// The checksum that HDF5's Fletcher-32 filter stores behind a chunk, computed in vectors.
uint32_t peco_fletcher32(const void *_Nonnull bytes, size_t count);
