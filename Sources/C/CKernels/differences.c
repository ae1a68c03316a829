#include "differences.h"

#include <math.h>

#include "dispatch.h"

enum { block = 1024 };

PECO_CLONES double peco_sum_of_absolute_differences(const float *x, const float *y, size_t n) {
  double total = 0;
  for (size_t start = 0; start < n; start += block) {
    size_t length = n - start < block ? n - start : block;
    float partial = 0;
    for (size_t i = 0; i < length; i++) partial += fabsf(x[start + i] - y[start + i]);
    total += partial;
  }
  return total;
}

PECO_CLONES double peco_sum_of_squared_differences(const float *x, const float *y, size_t n) {
  double total = 0;
  for (size_t start = 0; start < n; start += block) {
    size_t length = n - start < block ? n - start : block;
    float partial = 0;
    for (size_t i = 0; i < length; i++) {
      float d = x[start + i] - y[start + i];
      partial += d * d;
    }
    total += partial;
  }
  return total;
}

PECO_CLONES void peco_difference_signs(float *restrict d, const float *restrict x, const float *restrict y,
                                       float scale, size_t n) {
  for (size_t i = 0; i < n; i++) {
    float difference = x[i] - y[i];
    d[i] = difference > 0 ? scale : (difference < 0 ? -scale : scale * difference);
  }
}

PECO_CLONES void peco_scaled_differences(float *restrict d, const float *restrict x, const float *restrict y,
                                         float scale, size_t n) {
  for (size_t i = 0; i < n; i++) d[i] = scale * (x[i] - y[i]);
}

PECO_CLONES void peco_least_biased(const float *restrict scores, const float *restrict bias, size_t n,
                                   int32_t first, float *best, int32_t *index) {
  enum { lanes = 64 };
  float lane[lanes];
  for (size_t j = 0; j < lanes; j++) lane[j] = INFINITY;
  size_t i = 0;
  for (; i + lanes <= n; i += lanes)
    for (size_t j = 0; j < lanes; j++) {
      float v = scores[i + j] + bias[i + j];
      lane[j] = v < lane[j] ? v : lane[j];
    }
  float least = INFINITY;
  for (; i < n; i++) {
    float v = scores[i] + bias[i];
    least = v < least ? v : least;
  }
  for (size_t j = 0; j < lanes; j++) least = lane[j] < least ? lane[j] : least;
  if (!(least < *best) && *index >= 0) return;
  *best = least;
  // Where all are NaN or infinite, the first stands for want of a nearest one.
  *index = first;
  for (i = 0; i < n; i += lanes) {
    size_t end = n - i < lanes ? n : i + lanes;
    int found = 0;
    for (size_t j = i; j < end; j++) found |= scores[j] + bias[j] == least;
    if (!found) continue;
    for (size_t j = i; j < end; j++)
      if (scores[j] + bias[j] == least) {
        *index = first + (int32_t)j;
        return;
      }
  }
}
