// What Swift's own C library module does not offer for reading and writing files: gzip, and holes.
#pragma once
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <fcntl.h>
#include <zlib.h>

// Gives the disk space of a part of a file back; the part then reads as zeros. Returns 0, or -1 where the
// system cannot.
static inline int peco_punch_hole(int descriptor, long long offset, long long length) {
#ifdef FALLOC_FL_PUNCH_HOLE
  return fallocate(descriptor, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, length);
#else
  (void)descriptor, (void)offset, (void)length;
  return -1;
#endif
}
