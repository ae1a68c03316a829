#include "CFileIO.h"

#include <string.h>

// The sums are modulo 65535, and so may be taken in any order: lane by lane, for vectors, and with a word's two bytes
// in this processor's order, because a swap multiplies by 256.

enum { lanes = 32, modulus = 65535 };

// HDF5 folds sums as they grow, which leaves 65535 for a multiple of 65535 other than 0.
static uint32_t folded(uint64_t sum) {
  uint64_t rest = sum % modulus;
  return sum > 0 && rest == 0 ? modulus : (uint32_t)rest;
}

uint32_t peco_fletcher32(const void *bytes, size_t count) {
  const unsigned char *data = bytes;
  size_t rows = count / (2 * lanes);
  uint32_t a[lanes] = {0}, b[lanes] = {0};
  for (size_t row = 0; row < rows;) {
    // As many as leave the sums of sums below 2^32: those start below 2^17.
    size_t end = row + 300 < rows ? row + 300 : rows;
    for (; row < end; row++) {
      uint16_t words[lanes];
      memcpy(words, data + row * sizeof words, sizeof words);
      for (int l = 0; l < lanes; l++) {
        a[l] += words[l];
        b[l] += a[l];
      }
    }
    for (int l = 0; l < lanes; l++) {
      a[l] = (a[l] & 0xffff) + (a[l] >> 16);
      b[l] = (b[l] & 0xffff) + (b[l] >> 16);
    }
  }
  // A word counts once for itself and once for each word behind it: (rows - row) lanes - l.
  uint64_t sum1 = 0, sum2 = 0;
  for (int l = 0; l < lanes; l++) {
    sum1 += a[l];
    sum2 += (uint64_t)lanes * b[l] + (uint64_t)(modulus - l) * a[l];
  }
  uint16_t one = 1;
  unsigned char first;
  memcpy(&first, &one, 1);
  if (first == 1) {
    sum1 = sum1 * 256;
    sum2 = sum2 % modulus * 256 + (sum2 > 0 ? modulus : 0);
  }
  for (size_t i = rows * 2 * lanes; i < count; i += 2) {
    sum1 += (uint64_t)data[i] << 8 | (i + 1 < count ? data[i + 1] : 0);
    sum2 += folded(sum1);
  }
  return folded(sum2) << 16 | folded(sum1);
}
