#include "channels.h"

#include <math.h>

#include "dispatch.h"
#include "vectormath.h"

PECO_CLONES void peco_channel_affine(float *restrict y, const float *restrict x, const float *restrict scale,
                                     const float *restrict offset, size_t rows, size_t channels) {
  for (size_t r = 0; r < rows; r++, x += channels, y += channels)
    for (size_t c = 0; c < channels; c++) y[c] = x[c] * scale[c] + offset[c];
}

PECO_CLONES void peco_channel_affine_silu(float *restrict y, const float *restrict x,
                                          const float *restrict scale, const float *restrict offset,
                                          size_t rows, size_t channels) {
  for (size_t r = 0; r < rows; r++, x += channels, y += channels)
    for (size_t c = 0; c < channels; c++) {
      float u = x[c] * scale[c] + offset[c];
      y[c] = u * peco_sigmoid(u);
    }
}

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

PECO_INLINE void moments_tile(const float *restrict x, const float *restrict shift, size_t height,
                              size_t channels, size_t width, double *restrict sum,
                              double *restrict square) {
  float first[tile_channels] = {0}, second[tile_channels] = {0};
  for (size_t r = 0; r < height; r++, x += channels)
    for (size_t c = 0; c < width; c++) {
      float d = x[c] - shift[c];
      first[c] += d;
      second[c] += d * d;
    }
  for (size_t c = 0; c < width; c++) {
    sum[c] += first[c];
    square[c] += second[c];
  }
}

PECO_CLONES void peco_channel_moments(const float *x, const float *shift, size_t rows, size_t channels,
                                      double *sum, double *square) {
#define MOMENTS(WIDTH)                                                                         \
  moments_tile(x + row * channels + channel, shift + channel, height, channels, (WIDTH), sum + channel, \
               square + channel)
  PECO_FOR_TILES(MOMENTS)
}

PECO_INLINE void sums_tile(const float *restrict x, size_t height, size_t channels, size_t width,
                           double *restrict sum) {
  float first[tile_channels] = {0};
  for (size_t r = 0; r < height; r++, x += channels)
    for (size_t c = 0; c < width; c++) first[c] += x[c];
  for (size_t c = 0; c < width; c++) sum[c] += first[c];
}

PECO_CLONES void peco_channel_sums(const float *x, size_t rows, size_t channels, double *sum) {
#define SUMS(WIDTH) sums_tile(x + row * channels + channel, height, channels, (WIDTH), sum + channel)
  PECO_FOR_TILES(SUMS)
}

PECO_INLINE float silu_gradient(float u, float dy) {
  float s = peco_sigmoid(u);
  return dy * s * (1 + u * (1 - s));
}

PECO_INLINE void gradient_tile(const float *restrict x, const float *restrict dy, const float *restrict scale,
                               const float *restrict offset, const float *restrict factor,
                               const float *restrict shift, int silu, size_t height, size_t channels,
                               size_t width, double *restrict sum, double *restrict product) {
  float first[tile_channels] = {0}, second[tile_channels] = {0};
  for (size_t r = 0; r < height; r++, x += channels, dy += channels)
    for (size_t c = 0; c < width; c++) {
      float g = silu ? silu_gradient(x[c] * scale[c] + offset[c], dy[c]) : dy[c];
      first[c] += g;
      second[c] += g * (x[c] * factor[c] + shift[c]);
    }
  for (size_t c = 0; c < width; c++) {
    sum[c] += first[c];
    product[c] += second[c];
  }
}

PECO_CLONES void peco_group_norm_sums(const float *x, const float *dy, const float *factor, const float *shift,
                                      size_t rows, size_t channels, double *sum, double *product) {
#define PLAIN(WIDTH)                                                                                         \
  gradient_tile(x + row * channels + channel, dy + row * channels + channel, factor + channel,               \
                shift + channel, factor + channel, shift + channel, 0, height, channels, (WIDTH),            \
                sum + channel, product + channel)
  PECO_FOR_TILES(PLAIN)
}

PECO_CLONES void peco_group_norm_silu_sums(const float *x, const float *dy, const float *scale,
                                           const float *offset, const float *factor, const float *shift,
                                           size_t rows, size_t channels, double *sum, double *product) {
#define SILU(WIDTH)                                                                                          \
  gradient_tile(x + row * channels + channel, dy + row * channels + channel, scale + channel,                \
                offset + channel, factor + channel, shift + channel, 1, height, channels, (WIDTH),           \
                sum + channel, product + channel)
  PECO_FOR_TILES(SILU)
}

PECO_CLONES void peco_group_norm_backward(float *restrict dx, const float *restrict x,
                                          const float *restrict dy, const float *restrict scale,
                                          const float *restrict slope, const float *restrict constant,
                                          size_t rows, size_t channels) {
  for (size_t r = 0; r < rows; r++, dx += channels, x += channels, dy += channels)
    for (size_t c = 0; c < channels; c++) dx[c] = dy[c] * scale[c] + (x[c] * slope[c] + constant[c]);
}

PECO_CLONES void peco_group_norm_silu_backward(float *restrict dx, const float *restrict x,
                                               const float *restrict dy, const float *restrict scale,
                                               const float *restrict offset, const float *restrict slope,
                                               const float *restrict constant, size_t rows,
                                               size_t channels) {
  for (size_t r = 0; r < rows; r++, dx += channels, x += channels, dy += channels)
    for (size_t c = 0; c < channels; c++) {
      float g = silu_gradient(x[c] * scale[c] + offset[c], dy[c]);
      dx[c] = g * scale[c] + (x[c] * slope[c] + constant[c]);
    }
}

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
