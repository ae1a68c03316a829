// The loops of channels.c, for one number format (each_format.h).

PECO_INLINE float PECO_OF(silu_gradient)(float u, float dy) {
  float s = PECO_OF(peco_sigmoid)(u);
  return dy * s * (1 + u * (1 - s));
}

PECO_CLONES void PECO_OF(peco_channel_affine)(PECO_ELEMENT *restrict y, const PECO_ELEMENT *restrict x, const float *restrict scale,
                                     const float *restrict offset, size_t rows, size_t channels) {
  for (size_t r = 0; r < rows; r++, x += channels, y += channels)
    for (size_t c = 0; c < channels; c++) y[c] = PECO_STORE(PECO_LOAD(x[c]) * scale[c] + offset[c]);
}

PECO_CLONES void PECO_OF(peco_channel_affine_silu)(PECO_ELEMENT *restrict y, const PECO_ELEMENT *restrict x,
                                          const float *restrict scale, const float *restrict offset,
                                          size_t rows, size_t channels) {
  for (size_t r = 0; r < rows; r++, x += channels, y += channels)
    for (size_t c = 0; c < channels; c++) {
      float u = PECO_LOAD(x[c]) * scale[c] + offset[c];
      y[c] = PECO_STORE(u * PECO_OF(peco_sigmoid)(u));
    }
}

PECO_INLINE void PECO_OF(moments_tile)(const PECO_ELEMENT *restrict x, const PECO_ELEMENT *restrict shift, size_t height,
                              size_t channels, size_t width, double *restrict sum,
                              double *restrict square) {
  float first[tile_channels] = {0}, second[tile_channels] = {0};
  for (size_t r = 0; r < height; r++, x += channels)
    for (size_t c = 0; c < width; c++) {
      float d = PECO_LOAD(x[c]) - PECO_LOAD(shift[c]);
      first[c] += d;
      second[c] += d * d;
    }
  for (size_t c = 0; c < width; c++) {
    sum[c] += first[c];
    square[c] += second[c];
  }
}

PECO_CLONES void PECO_OF(peco_channel_moments)(const PECO_ELEMENT *x, const PECO_ELEMENT *shift, size_t rows, size_t channels,
                                      double *sum, double *square) {
#define MOMENTS(WIDTH)                                                                         \
  PECO_OF(moments_tile)(x + row * channels + channel, shift + channel, height, channels, (WIDTH), sum + channel, \
               square + channel)
  PECO_FOR_TILES(MOMENTS)
}

PECO_INLINE void PECO_OF(sums_tile)(const PECO_ELEMENT *restrict x, size_t height, size_t channels, size_t width,
                           double *restrict sum) {
  float first[tile_channels] = {0};
  for (size_t r = 0; r < height; r++, x += channels)
    for (size_t c = 0; c < width; c++) first[c] += PECO_LOAD(x[c]);
  for (size_t c = 0; c < width; c++) sum[c] += first[c];
}

PECO_CLONES void PECO_OF(peco_channel_sums)(const PECO_ELEMENT *x, size_t rows, size_t channels, double *sum) {
#define SUMS(WIDTH) PECO_OF(sums_tile)(x + row * channels + channel, height, channels, (WIDTH), sum + channel)
  PECO_FOR_TILES(SUMS)
}

PECO_INLINE void PECO_OF(gradient_tile)(const PECO_ELEMENT *restrict x, const PECO_ELEMENT *restrict dy, const float *restrict scale,
                               const float *restrict offset, const float *restrict factor,
                               const float *restrict shift, int silu, size_t height, size_t channels,
                               size_t width, double *restrict sum, double *restrict product) {
  float first[tile_channels] = {0}, second[tile_channels] = {0};
  for (size_t r = 0; r < height; r++, x += channels, dy += channels)
    for (size_t c = 0; c < width; c++) {
      float g = silu ? PECO_OF(silu_gradient)(PECO_LOAD(x[c]) * scale[c] + offset[c], PECO_LOAD(dy[c])) : PECO_LOAD(dy[c]);
      first[c] += g;
      second[c] += g * (PECO_LOAD(x[c]) * factor[c] + shift[c]);
    }
  for (size_t c = 0; c < width; c++) {
    sum[c] += first[c];
    product[c] += second[c];
  }
}

PECO_CLONES void PECO_OF(peco_group_norm_sums)(const PECO_ELEMENT *x, const PECO_ELEMENT *dy, const float *factor, const float *shift,
                                      size_t rows, size_t channels, double *sum, double *product) {
#define PLAIN(WIDTH)                                                                                         \
  PECO_OF(gradient_tile)(x + row * channels + channel, dy + row * channels + channel, factor + channel,               \
                shift + channel, factor + channel, shift + channel, 0, height, channels, (WIDTH),            \
                sum + channel, product + channel)
  PECO_FOR_TILES(PLAIN)
}

PECO_CLONES void PECO_OF(peco_group_norm_silu_sums)(const PECO_ELEMENT *x, const PECO_ELEMENT *dy, const float *scale,
                                           const float *offset, const float *factor, const float *shift,
                                           size_t rows, size_t channels, double *sum, double *product) {
#define SILU(WIDTH)                                                                                          \
  PECO_OF(gradient_tile)(x + row * channels + channel, dy + row * channels + channel, scale + channel,                \
                offset + channel, factor + channel, shift + channel, 1, height, channels, (WIDTH),           \
                sum + channel, product + channel)
  PECO_FOR_TILES(SILU)
}

PECO_CLONES void PECO_OF(peco_group_norm_backward)(PECO_ELEMENT *restrict dx, const PECO_ELEMENT *restrict x,
                                          const PECO_ELEMENT *restrict dy, const float *restrict scale,
                                          const float *restrict slope, const float *restrict constant,
                                          size_t rows, size_t channels) {
  for (size_t r = 0; r < rows; r++, dx += channels, x += channels, dy += channels)
    for (size_t c = 0; c < channels; c++) dx[c] = PECO_STORE(PECO_LOAD(dy[c]) * scale[c] + (PECO_LOAD(x[c]) * slope[c] + constant[c]));
}

PECO_CLONES void PECO_OF(peco_group_norm_silu_backward)(PECO_ELEMENT *restrict dx, const PECO_ELEMENT *restrict x,
                                               const PECO_ELEMENT *restrict dy, const float *restrict scale,
                                               const float *restrict offset, const float *restrict slope,
                                               const float *restrict constant, size_t rows,
                                               size_t channels) {
  for (size_t r = 0; r < rows; r++, dx += channels, x += channels, dy += channels)
    for (size_t c = 0; c < channels; c++) {
      float g = PECO_OF(silu_gradient)(PECO_LOAD(x[c]) * scale[c] + offset[c], PECO_LOAD(dy[c]));
      dx[c] = PECO_STORE(g * scale[c] + (PECO_LOAD(x[c]) * slope[c] + constant[c]));
    }
}

#undef MOMENTS
#undef SUMS
#undef PLAIN
#undef SILU
