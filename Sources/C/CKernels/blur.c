#include "blur.h"

#include "dispatch.h"

// A strip of sums stays in registers while the taps go by.
enum { strip = 64 };

PECO_CLONES void peco_blur_row(float *restrict y, const float *restrict x, const float *restrict weights,
                               int taps, size_t n) {
  size_t i = 0;
  for (; i + strip <= n; i += strip) {
    float sum[strip] = {0};
    for (int k = 0; k < taps; k++)
      for (size_t j = 0; j < strip; j++) sum[j] += weights[k] * x[i + j + 3 * (size_t)k];
    for (size_t j = 0; j < strip; j++) y[i + j] = sum[j];
  }
  for (; i < n; i++) {
    float sum = 0;
    for (int k = 0; k < taps; k++) sum += weights[k] * x[i + 3 * (size_t)k];
    y[i] = sum;
  }
}

PECO_CLONES void peco_blur_column(float *restrict y, const float *const *rows, const float *restrict weights,
                                  int taps, size_t n) {
  size_t i = 0;
  for (; i + strip <= n; i += strip) {
    float sum[strip] = {0};
    for (int k = 0; k < taps; k++) {
      const float *row = rows[k] + i;
      for (size_t j = 0; j < strip; j++) sum[j] += weights[k] * row[j];
    }
    for (size_t j = 0; j < strip; j++) y[i + j] = sum[j];
  }
  for (; i < n; i++) {
    float sum = 0;
    for (int k = 0; k < taps; k++) sum += weights[k] * rows[k][i];
    y[i] = sum;
  }
}

PECO_CLONES void peco_image_solarize(float *x, float threshold, size_t n) {
  for (size_t i = 0; i < n; i++) x[i] = x[i] >= threshold ? 255 - x[i] : x[i];
}
