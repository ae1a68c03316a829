#include "maxpool.h"

#include "dispatch.h"

enum { strip = 64 };

// The first and the last place of a window that lie inside of `size` places.
static inline size_t window_first(size_t index) { return index == 0 ? 0 : 2 * index - 1; }
static inline size_t window_last(size_t index, size_t size) {
  return 2 * index + 1 < size ? 2 * index + 1 : size - 1;
}

PECO_CLONES void peco_max_pool_3x3(float *restrict y, const float *restrict x, size_t height, size_t width,
                                   size_t channels) {
  size_t out_height = (height + 1) / 2, out_width = (width + 1) / 2;
  for (size_t row = 0; row < out_height; row++)
    for (size_t column = 0; column < out_width; column++, y += channels) {
      size_t first = window_first(row), left = window_first(column);
      size_t last = window_last(row, height), right = window_last(column, width);
      const float *start = x + (first * width + left) * channels;
      for (size_t c = 0; c < channels; c++) y[c] = start[c];
      for (size_t h = first; h <= last; h++)
        for (size_t w = left; w <= right; w++) {
          const float *pixel = x + (h * width + w) * channels;
          // Written so that a NaN, once met, stays.
          for (size_t c = 0; c < channels; c++) y[c] = pixel[c] <= y[c] || y[c] != y[c] ? y[c] : pixel[c];
        }
    }
}

PECO_CLONES void peco_max_pool_3x3_backward(float *restrict dx, const float *restrict x,
                                            const float *restrict dy, size_t height, size_t width,
                                            size_t channels) {
  size_t out_height = (height + 1) / 2, out_width = (width + 1) / 2;
  for (size_t row = 0; row < out_height; row++)
    for (size_t column = 0; column < out_width; column++, dy += channels) {
      size_t first = window_first(row), left = window_first(column);
      size_t last = window_last(row, height), right = window_last(column, width);
      for (size_t start = 0; start < channels; start += strip) {
        size_t count = channels - start < strip ? channels - start : strip;
        float best[strip];
        int place[strip], number = 0;
        const float *origin = x + (first * width + left) * channels + start;
        for (size_t c = 0; c < count; c++) {
          best[c] = origin[c];
          place[c] = 0;
        }
        for (size_t h = first; h <= last; h++)
          for (size_t w = left; w <= right; w++, number++) {
            const float *pixel = x + (h * width + w) * channels + start;
            for (size_t c = 0; c < count; c++) {
              int stays = pixel[c] <= best[c] || best[c] != best[c];
              best[c] = stays ? best[c] : pixel[c];
              place[c] = stays ? place[c] : number;
            }
          }
        number = 0;
        for (size_t h = first; h <= last; h++)
          for (size_t w = left; w <= right; w++, number++) {
            float *target = dx + (h * width + w) * channels + start;
            for (size_t c = 0; c < count; c++) target[c] += place[c] == number ? dy[start + c] : 0;
          }
      }
    }
}
