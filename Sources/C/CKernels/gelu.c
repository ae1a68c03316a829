#include "gelu.h"

#include "dispatch.h"
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

#define PECO_LOOPS "gelu_of.h"
#include "each_format.h"
