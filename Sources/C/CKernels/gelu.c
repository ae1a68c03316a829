#include "gelu.h"

#include "dispatch.h"
#include "half.h"
#include "vectormath.h"

PECO_INLINE float gelu(float x) {
  float density;
  float y = x * peco_normal_cdf(x, &density);
  return x < -13.0f ? 0.0f : y;  // below, Φ is less than the smallest float, and -∞ · 0 has no value
}

PECO_INLINE float gelu_slope(float x) {
  float density;
  float cdf = peco_normal_cdf(x, &density);
  float slope = cdf + 0.398942280f * x * density;
  return x < -13.0f ? 0.0f : x > 13.0f ? 1.0f : slope;
}

PECO_CLONES void peco_gelu(float *y, const float *x, size_t n) {
  PECO_IN_PLACE for (size_t i = 0; i < n; i++) y[i] = gelu(x[i]);
}

PECO_CLONES void peco_gelu_gradient(float *dx, const float *x, const float *dy, size_t n) {
  PECO_IN_PLACE for (size_t i = 0; i < n; i++) dx[i] = dy[i] * gelu_slope(x[i]);
}

PECO_CLONES void peco_bias_gelu(float *y, const float *x, const float *restrict bias, size_t rows, size_t n) {
  for (size_t r = 0; r < rows; r++)
    PECO_IN_PLACE for (size_t i = 0; i < n; i++) y[r * n + i] = gelu(x[r * n + i] + bias[i]);
}

PECO_CLONES void peco_bias_gelu_gradient(
    float *restrict x, float *restrict dy, float *restrict dbias, const float *restrict bias, size_t rows, size_t n) {
  for (size_t r = 0; r < rows; r++, x += n, dy += n)
    PECO_IN_PLACE for (size_t i = 0; i < n; i++) {
      float v = x[i] + bias[i], density;
      float cdf = peco_normal_cdf(v, &density);
      float slope = v < -13.0f ? 0.0f : v > 13.0f ? 1.0f : cdf + 0.398942280f * v * density;
      float d = dy[i] * slope;
      x[i] = d;
      dy[i] = v < -13.0f ? 0.0f : v * cdf;
      dbias[i] += d;
    }
}

PECO_CLONES void peco_bias_gelu_bfloat16(
    uint16_t *y, const uint16_t *x, const float *restrict bias, size_t rows, size_t n) {
  for (size_t r = 0; r < rows; r++, x += n, y += n)
    PECO_IN_PLACE for (size_t i = 0; i < n; i++) y[i] = peco_narrowed(gelu(peco_widened(x[i]) + bias[i]));
}

PECO_CLONES void peco_bias_gelu_gradient_bfloat16(
    uint16_t *restrict x, uint16_t *restrict dy, float *restrict dbias, const float *restrict bias, size_t rows,
    size_t n) {
  for (size_t r = 0; r < rows; r++, x += n, dy += n)
    PECO_IN_PLACE for (size_t i = 0; i < n; i++) {
      float v = peco_widened(x[i]) + bias[i], density;
      float cdf = peco_normal_cdf(v, &density);
      float slope = v < -13.0f ? 0.0f : v > 13.0f ? 1.0f : cdf + 0.398942280f * v * density;
      float d = peco_widened(dy[i]) * slope;
      x[i] = peco_narrowed(d);
      dy[i] = peco_narrowed(v < -13.0f ? 0.0f : v * cdf);
      dbias[i] += d;
    }
}
