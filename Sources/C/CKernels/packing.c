#include "packing.h"

#include <string.h>

#include "dispatch.h"

#define PECO_LOOPS "packing_of.h"
#include "each_format.h"

typedef uint32_t square_row __attribute__((vector_size(64)));

// Exchanges the quarters beside the diagonal of all squares of 2 × DISTANCE numbers; the four distances together transpose.
#define EXCHANGE(DISTANCE, UPPER, LOWER)                                   \
  for (int i = 0; i < 16; i++)                                             \
    if (!(i & DISTANCE)) {                                                 \
      square_row a = rows[i], b = rows[i + DISTANCE];                      \
      rows[i] = __builtin_shufflevector(a, b, UPPER);                      \
      rows[i + DISTANCE] = __builtin_shufflevector(a, b, LOWER);           \
    }
#define LIST(...) __VA_ARGS__

PECO_INLINE void transpose(square_row rows[16]) {
  EXCHANGE(8, LIST(0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23),
           LIST(8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31))
  EXCHANGE(4, LIST(0, 1, 2, 3, 16, 17, 18, 19, 8, 9, 10, 11, 24, 25, 26, 27),
           LIST(4, 5, 6, 7, 20, 21, 22, 23, 12, 13, 14, 15, 28, 29, 30, 31))
  EXCHANGE(2, LIST(0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29),
           LIST(2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31))
  EXCHANGE(1, LIST(0, 16, 2, 18, 4, 20, 6, 22, 8, 24, 10, 26, 12, 28, 14, 30),
           LIST(1, 17, 3, 19, 5, 21, 7, 23, 9, 25, 11, 27, 13, 29, 15, 31))
}

// Elements of a stored row that are converted at a time: long enough to be fetched ahead, few enough that those of all
// rows of a panel stay in the first cache.
enum { PIECE = 128 };

PECO_CLONES void peco_pack_transposed(
    uint32_t *restrict pairs, const float *restrict b, size_t stride, size_t rows, size_t columns) {
  uint16_t lines[PECO_PANEL_COLUMNS][PIECE];
  if (columns < PECO_PANEL_COLUMNS) memset(lines, 0, sizeof lines);
  for (size_t start = 0; start < rows; start += PIECE) {
    size_t length = rows - start < PIECE ? rows - start : PIECE;
    size_t padded = (length + PECO_PANEL_ROWS - 1) / PECO_PANEL_ROWS * PECO_PANEL_ROWS;
    for (size_t j = 0; j < columns; j++) {
      const float *x = b + j * stride + start;
      for (size_t i = 0; i < length; i++) lines[j][i] = peco_narrowed(x[i]);
      for (size_t i = length; i < padded; i++) lines[j][i] = 0;
    }
    for (size_t i = 0; i < padded; i += 32, pairs += 16 * PECO_PANEL_COLUMNS)
      for (size_t j = 0; j < PECO_PANEL_COLUMNS; j += 16) {
        square_row square[16];
        for (int k = 0; k < 16; k++) memcpy(&square[k], &lines[j + k][i], sizeof square[k]);
        transpose(square);
        for (int k = 0; k < 16; k++) memcpy(pairs + k * PECO_PANEL_COLUMNS + j, &square[k], sizeof square[k]);
      }
  }
}

PECO_CLONES void peco_transpose_bfloat16(
    uint16_t *restrict y, size_t y_stride, const uint16_t *restrict x, size_t x_stride, size_t rows, size_t columns) {
  // Down a cache line of columns at a time: what is written grows along few lines.
  for (size_t j = 0; j < columns; j += 32) {
    size_t width = columns - j < 32 ? columns - j : 32;
    for (size_t i = 0; i < rows; i += 32) {
      size_t height = rows - i < 32 ? rows - i : 32;
      const uint16_t *corner = x + i * x_stride + j;
      for (size_t k = 32; k < 64; k++) __builtin_prefetch(corner + k * x_stride, 0, 2);
      // The two numbers of each column in rows two by two, as pairs; of those, two squares.
      uint32_t pairs[2][16][16];
      if (height == 32 && width == 32) {
        for (size_t k = 0; k < 16; k++) {
          const uint16_t *upper = corner + 2 * k * x_stride, *lower = upper + x_stride;
          for (size_t l = 0; l < 16; l++) pairs[0][k][l] = upper[l] | (uint32_t)lower[l] << 16;
          for (size_t l = 0; l < 16; l++) pairs[1][k][l] = upper[16 + l] | (uint32_t)lower[16 + l] << 16;
        }
      } else {
        memset(pairs, 0, sizeof pairs);
        for (size_t k = 0; k < height; k++)
          for (size_t l = 0; l < width; l++)
            pairs[l / 16][k / 2][l % 16] |= (uint32_t)corner[k * x_stride + l] << (k % 2 * 16);
      }
      for (size_t half = 0; half < 2; half++) {
        square_row square[16];
        memcpy(square, pairs[half], sizeof square);
        transpose(square);
        for (size_t l = 0; l < 16 && 16 * half + l < width; l++) {
          uint16_t *line = y + (j + 16 * half + l) * y_stride + i;
          if (height == 32)
            memcpy(line, &square[l], sizeof square[l]);
          else
            memcpy(line, &square[l], height * sizeof *line);
        }
      }
    }
  }
}
