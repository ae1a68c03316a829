// Archives read as a stream through libarchive: tar in all its forms and zip, packed by gzip, bzip2, xz or zstd. Names
// come out as the bytes that the archive holds. Nothing is global.
#pragma once
#include <stddef.h>
#include <stdint.h>

typedef struct peco_archive peco_archive;

// Where an archive's own bytes come from. The first gives what comes next, at least a byte, which stays valid until the
// next call: how many bytes, 0 at the end, -1 where it cannot. The second moves to a place (`whence` as for lseek) and
// tells which it is, or -1.
typedef long long (*peco_archive_source)(void *_Nonnull context, const void *_Nullable *_Nonnull bytes);
typedef long long (*peco_archive_seek)(void *_Nonnull context, long long offset, int whence);

enum {
  PECO_ARCHIVE_FILE,
  PECO_ARCHIVE_FOLDER,
  PECO_ARCHIVE_HARD_LINK,
  PECO_ARCHIVE_SYMBOLIC_LINK,
  PECO_ARCHIVE_SPECIAL
};

typedef struct {
  const char *_Nullable name;    // NULL where it cannot be had; valid until the next member
  const char *_Nullable target;  // of a hard link
  int kind;
  int is_encrypted;
  long long size;  // -1 where the archive does not say
} peco_archive_member;

enum { PECO_ARCHIVE_GO = 1, PECO_ARCHIVE_END = 0, PECO_ARCHIVE_DAMAGED = -1, PECO_ARCHIVE_MEMBER_DAMAGED = -2 };

// Prepares to read; NULL where memory is short. `seek` is NULL for what cannot be read twice. `is_zip`: it begins as a
// zip.
peco_archive *_Nullable peco_archive_open(peco_archive_source _Nonnull source, peco_archive_seek _Nullable seek,
                                          void *_Nonnull context, int is_zip);

// Goes on to the next member: GO, END, or DAMAGED.
int peco_archive_next(peco_archive *_Nonnull archive, peco_archive_member *_Nonnull member);

// The next part of the present member, and where in it that lies; what is left out is zero. GO, END, DAMAGED, or
// MEMBER_DAMAGED where the members after it can be read.
int peco_archive_read(peco_archive *_Nonnull archive, const void *_Nullable *_Nonnull bytes, size_t *_Nonnull count,
                      long long *_Nonnull offset);

// How many bytes came out of the unpacking of the archive's own packing.
long long peco_archive_unpacked(peco_archive *_Nonnull archive);

// Whether what `peco_archive_next` could not read is an archive at all, and not something else, packed or not.
int peco_archive_is_recognized(peco_archive *_Nonnull archive);

// Why the last call failed, in libarchive's words.
const char *_Nonnull peco_archive_message(peco_archive *_Nonnull archive);

void peco_archive_close(peco_archive *_Nonnull archive);
