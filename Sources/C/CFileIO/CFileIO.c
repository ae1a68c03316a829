#define _GNU_SOURCE
#include "CFileIO.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <zlib.h>

// zlib's handle is itself a pointer; here it goes by another name.
static gzFile handle(peco_gzip *file) { return (gzFile)(void *)file; }

peco_gzip *peco_gzip_open(const char *path) {
  // zlib hands the bytes of a file that is not gzip through as they are.
  gzFile file = gzopen(path, "rb");
  if (file) gzbuffer(file, 1 << 20);
  return (peco_gzip *)(void *)file;
}

int peco_gzip_read(peco_gzip *file, void *buffer, unsigned count) {
  int read = gzread(handle(file), buffer, count);
  // A file cut short reads as if it ended there; only the code tells.
  int code = Z_OK;
  gzerror(handle(file), &code);
  return code == Z_OK || code == Z_STREAM_END ? read : -1;
}

const char *peco_gzip_error(peco_gzip *file) {
  int code = Z_OK;
  const char *message = gzerror(handle(file), &code);
  return code == Z_ERRNO ? strerror(errno) : message;
}

void peco_gzip_close(peco_gzip *file) { gzclose(handle(file)); }

int peco_punch_hole(int descriptor, long long offset, long long length) {
#ifdef FALLOC_FL_PUNCH_HOLE
  return fallocate(descriptor, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, length);
#else
  (void)descriptor, (void)offset, (void)length;
  return -1;
#endif
}

void peco_start_writeback(int descriptor) {
#if defined(__linux__)
  sync_file_range(descriptor, 0, 0, SYNC_FILE_RANGE_WRITE);
#else
  (void)descriptor;
#endif
}
