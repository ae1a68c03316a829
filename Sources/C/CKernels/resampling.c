#include "resampling.h"

#include "dispatch.h"
#include "half.h"

PECO_CLONES void peco_repeat_pixels(float *restrict y, const float *restrict x, float scale, size_t width,
                                    size_t channels, size_t window) {
  for (size_t w = 0; w < width; w++, x += channels)
    for (size_t k = 0; k < window; k++, y += channels)
      for (size_t c = 0; c < channels; c++) y[c] = scale * x[c];
}

PECO_CLONES void peco_sum_windows(float *restrict y, const float *restrict x, float scale, size_t width,
                                  size_t channels, size_t window, size_t row_stride) {
  if (window == 2) {
    for (size_t w = 0; w < width; w++, y += channels, x += 2 * channels) {
      const float *below = x + row_stride;
      for (size_t c = 0; c < channels; c++)
        y[c] = scale * ((x[c] + x[c + channels]) + (below[c] + below[c + channels]));
    }
    return;
  }
  for (size_t w = 0; w < width; w++, y += channels, x += window * channels) {
    for (size_t c = 0; c < channels; c++) y[c] = 0;
    for (size_t j = 0; j < window; j++)
      for (size_t k = 0; k < window; k++)
        for (size_t c = 0; c < channels; c++) y[c] += x[j * row_stride + k * channels + c];
    for (size_t c = 0; c < channels; c++) y[c] *= scale;
  }
}

PECO_CLONES void peco_repeat_pixels_bfloat16(uint16_t *restrict y, const uint16_t *restrict x, float scale,
                                             size_t width, size_t channels, size_t window) {
  for (size_t w = 0; w < width; w++, x += channels)
    for (size_t k = 0; k < window; k++, y += channels)
      for (size_t c = 0; c < channels; c++) y[c] = peco_narrowed(scale * peco_widened(x[c]));
}

enum { strip = 16 };

PECO_CLONES void peco_sum_windows_bfloat16(uint16_t *restrict y, const uint16_t *restrict x, float scale,
                                           size_t width, size_t channels, size_t window, size_t row_stride) {
  for (size_t w = 0; w < width; w++, y += channels, x += window * channels)
    for (size_t start = 0; start < channels; start += strip) {
      float sum[strip] = {0};
      size_t count = channels - start < strip ? channels - start : strip;
      for (size_t j = 0; j < window; j++)
        for (size_t k = 0; k < window; k++) {
          const uint16_t *pixel = x + j * row_stride + k * channels + start;
          for (size_t c = 0; c < count; c++) sum[c] += peco_widened(pixel[c]);
        }
      for (size_t c = 0; c < count; c++) y[start + c] = peco_narrowed(scale * sum[c]);
    }
}

PECO_CLONES void peco_max_pool_2x2(float *restrict y, const float *restrict top, const float *restrict bottom,
                                   size_t width, size_t channels) {
  for (size_t w = 0; w < width; w++, y += channels, top += 2 * channels, bottom += 2 * channels)
    for (size_t c = 0; c < channels; c++) {
      // Written so that a NaN, once met, stays.
      float m = top[c];
      float v = top[c + channels];
      m = v <= m || m != m ? m : v;
      v = bottom[c];
      m = v <= m || m != m ? m : v;
      v = bottom[c + channels];
      y[c] = v <= m || m != m ? m : v;
    }
}

PECO_CLONES void peco_max_pool_2x2_backward(float *restrict dtop, float *restrict dbottom,
                                            const float *restrict top, const float *restrict bottom,
                                            const float *restrict dy, size_t width, size_t channels) {
  for (size_t w = 0; w < width; w++) {
    for (size_t c = 0; c < channels; c++) {
      float a = top[c], b = top[c + channels], d = bottom[c], e = bottom[c + channels];
      int right_over_left = b > a, right_over_left_below = e > d;
      float above = right_over_left ? b : a, below = right_over_left_below ? e : d;
      int lower = below > above;
      float g = dy[c];
      dtop[c] = lower || right_over_left ? 0 : g;
      dtop[c + channels] = lower || !right_over_left ? 0 : g;
      dbottom[c] = !lower || right_over_left_below ? 0 : g;
      dbottom[c + channels] = !lower || !right_over_left_below ? 0 : g;
    }
    dy += channels;
    top += 2 * channels;
    bottom += 2 * channels;
    dtop += 2 * channels;
    dbottom += 2 * channels;
  }
}
