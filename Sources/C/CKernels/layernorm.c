#include "layernorm.h"

#include <math.h>

#include "dispatch.h"
#include "half.h"

PECO_CLONES void peco_layer_norm(
    float *restrict y, float *restrict mean, float *restrict deviation_inverse, const float *restrict x,
    const float *restrict weight, const float *restrict bias, float epsilon, size_t rows, size_t n) {
  for (size_t r = 0; r < rows; r++, x += n, y += n) {
    float sum = 0;
    for (size_t i = 0; i < n; i++) sum += x[i];
    float m = sum / (float)n;
    float squares = 0;
    for (size_t i = 0; i < n; i++) squares += (x[i] - m) * (x[i] - m);
    float s = 1.0f / sqrtf(squares / (float)n + epsilon);
    for (size_t i = 0; i < n; i++) y[i] = (x[i] - m) * s * weight[i] + bias[i];
    mean[r] = m;
    deviation_inverse[r] = s;
  }
}

PECO_CLONES void peco_layer_norm_gradient(
    float *restrict dx, float *restrict dweight, float *restrict dbias, const float *restrict dy,
    const float *restrict x, const float *restrict mean, const float *restrict deviation_inverse,
    const float *restrict weight, size_t rows, size_t n) {
  for (size_t r = 0; r < rows; r++, x += n, dy += n, dx += n) {
    float m = mean[r], s = deviation_inverse[r];
    float sum = 0, product = 0;
    for (size_t i = 0; i < n; i++) {
      float normal = (x[i] - m) * s;
      float g = dy[i] * weight[i];
      sum += g;
      product += g * normal;
      dweight[i] += dy[i] * normal;
      dbias[i] += dy[i];
    }
    sum /= (float)n;
    product /= (float)n;
    for (size_t i = 0; i < n; i++) dx[i] = s * (dy[i] * weight[i] - sum - (x[i] - m) * s * product);
  }
}

PECO_CLONES void peco_layer_norm_bfloat16(
    uint16_t *restrict y, float *restrict mean, float *restrict deviation_inverse, const float *restrict x,
    const float *restrict weight, const float *restrict bias, float epsilon, size_t rows, size_t n) {
  for (size_t r = 0; r < rows; r++, x += n, y += n) {
    float sum = 0;
    for (size_t i = 0; i < n; i++) sum += x[i];
    float m = sum / (float)n;
    float squares = 0;
    for (size_t i = 0; i < n; i++) squares += (x[i] - m) * (x[i] - m);
    float s = 1.0f / sqrtf(squares / (float)n + epsilon);
    for (size_t i = 0; i < n; i++) y[i] = peco_narrowed((x[i] - m) * s * weight[i] + bias[i]);
    mean[r] = m;
    deviation_inverse[r] = s;
  }
}

PECO_CLONES void peco_layer_norm_gradient_bfloat16(
    float *restrict dx, float *restrict dweight, float *restrict dbias, const uint16_t *restrict dy,
    const float *restrict x, const float *restrict mean, const float *restrict deviation_inverse,
    const float *restrict weight, size_t rows, size_t n) {
  for (size_t r = 0; r < rows; r++, x += n, dy += n, dx += n) {
    float m = mean[r], s = deviation_inverse[r];
    float sum = 0, product = 0;
    for (size_t i = 0; i < n; i++) {
      float d = peco_widened(dy[i]), normal = (x[i] - m) * s;
      float g = d * weight[i];
      sum += g;
      product += g * normal;
      dweight[i] += d * normal;
      dbias[i] += d;
    }
    sum /= (float)n;
    product /= (float)n;
    for (size_t i = 0; i < n; i++)
      dx[i] = s * (peco_widened(dy[i]) * weight[i] - sum - (x[i] - m) * s * product);
  }
}
