#define _GNU_SOURCE
#include "CFileIO.h"

#include <fcntl.h>

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
