#include "channels.h"

#include <math.h>

#include "dispatch.h"
#include "vectormath.h"

PECO_CLONES void peco_add_to_channels(float *restrict y, const float *restrict term, size_t rows,
                                      size_t channels) {
  for (size_t r = 0; r < rows; r++, y += channels)
    for (size_t c = 0; c < channels; c++) y[c] += term[c];
}

// Sums run over tiles that fit the vector registers: floats over few rows, then doubles over the tiles.
enum { tile_rows = 32, tile_channels = 64 };

#define PECO_FOR_TILES(BODY)                                                                     \
  for (size_t row = 0; row < rows; row += tile_rows) {                                           \
    size_t height = rows - row < tile_rows ? rows - row : tile_rows;                             \
    size_t channel = 0;                                                                          \
    for (; channel + tile_channels <= channels; channel += tile_channels) BODY(tile_channels);   \
    if (channel < channels) BODY(channels - channel);                                            \
  }

#define PECO_LOOPS "channels_of.h"
#include "each_format.h"

PECO_CLONES void peco_unit_rows(float *restrict y, const float *restrict x, float epsilon, size_t rows,
                                size_t channels) {
  for (size_t r = 0; r < rows; r++, x += channels, y += channels) {
    float square = 0;
    for (size_t c = 0; c < channels; c++) square += x[c] * x[c];
    float factor = 1 / (sqrtf(square) + epsilon);
    for (size_t c = 0; c < channels; c++) y[c] = x[c] * factor;
  }
}

PECO_CLONES void peco_unit_rows_backward(float *restrict dx, const float *restrict x,
                                         const float *restrict dy, float epsilon, size_t rows,
                                         size_t channels) {
  for (size_t r = 0; r < rows; r++, dx += channels, x += channels, dy += channels) {
    float square = 0, product = 0;
    for (size_t c = 0; c < channels; c++) {
      square += x[c] * x[c];
      product += x[c] * dy[c];
    }
    float norm = sqrtf(square);
    float factor = 1 / (norm + epsilon);
    // d(1/(‖x‖+ε))/dx = -x / (‖x‖ (‖x‖+ε)²); at x = 0 the direction is undefined and the term left out.
    float slope = norm > 0 ? product * factor * factor / norm : 0;
    for (size_t c = 0; c < channels; c++) dx[c] = dy[c] * factor - x[c] * slope;
  }
}
