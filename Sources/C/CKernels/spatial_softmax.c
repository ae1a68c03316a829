#include "spatial_softmax.h"

#include "dispatch.h"
#include "exponential.h"

PECO_CLONES void peco_spatial_softmax(float *s, float scale, size_t rows, size_t columns) {
  for (size_t r = 0; r < rows; r++, s += columns) {
    float greatest = s[0];
    for (size_t i = 1; i < columns; i++) greatest = s[i] > greatest ? s[i] : greatest;
    float total = 0;
    for (size_t i = 0; i < columns; i++) {
      s[i] = peco_inline_exp(scale * (s[i] - greatest));
      total += s[i];
    }
    float inverse = 1 / total;
    for (size_t i = 0; i < columns; i++) s[i] *= inverse;
  }
}

PECO_CLONES void peco_spatial_softmax_backward(float *restrict dp, const float *restrict p, float scale,
                                               size_t rows, size_t columns) {
  for (size_t r = 0; r < rows; r++, dp += columns, p += columns) {
    float product = 0;
    for (size_t i = 0; i < columns; i++) product += p[i] * dp[i];
    for (size_t i = 0; i < columns; i++) dp[i] = scale * p[i] * (dp[i] - product);
  }
}
