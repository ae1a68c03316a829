#include "gelu.h"

#include "dispatch.h"
#include "vectormath.h"

PECO_INLINE float gelu(float x) {
  float density;
  float y = x * peco_normal_cdf(x, &density);
  return x < -13.0f ? 0.0f : y;  // below, Φ is less than the smallest float, and -∞ · 0 has no value
}

// gelu(x), and gelu'(x) = Φ(x) + x φ(x).
PECO_INLINE float gelu_and_slope(float x, float *slope) {
  float density;
  float cdf = peco_normal_cdf(x, &density);
  *slope = x < -13.0f ? 0.0f : x > 13.0f ? 1.0f : cdf + 0.398942280f * x * density;
  return x < -13.0f ? 0.0f : x * cdf;
}

// For numbers that are rounded to bfloat16: Φ and gelu' less a half are odd, and up to 4.5, from where on they are taken for
// 0 and 1, x times a polynomial in v = 2 (x / 4.5)² - 1 (fitted by us in the maximum norm). They are off by 3.4e-6 at most
// and 6.9e-5, less than a twentieth of what rounding does. No division, no exponential.
static const float last_bend = 4.5f;
static const float of_cdf[] = {
    1.5690508e-1f, -7.7192284e-2f, 5.4691751e-2f, -4.0134475e-2f, 2.8372074e-2f, -1.8914828e-2f,
    1.1157040e-2f, -5.4132515e-3f, 3.0792162e-3f, -2.2591609e-3f, 8.193407e-4f};
static const float of_slope[] = {
    1.5943155e-1f, -9.0013199e-2f, 8.6987408e-2f, -9.3922019e-2f, 9.7899549e-2f, -9.3837328e-2f,
    6.9761664e-2f, -3.6211397e-2f, 2.8460324e-2f, -2.9362846e-2f, 1.1935232e-2f};

PECO_INLINE float between_bends(float x, const float *coefficients) {
  float v = x * x * (2.0f / (last_bend * last_bend)) - 1.0f, p = coefficients[10];
  for (int i = 9; i >= 0; i--) p = p * v + coefficients[i];
  return x < -last_bend ? 0.0f : x > last_bend ? 1.0f : 0.5f + x * p;
}

PECO_INLINE float gelu_bfloat16(float x) {
  return x < -last_bend ? 0.0f : x * between_bends(x, of_cdf);  // -∞ · 0 has no value
}

PECO_INLINE float gelu_and_slope_bfloat16(float x, float *slope) {
  *slope = between_bends(x, of_slope);
  return gelu_bfloat16(x);
}

PECO_CLONES void peco_gelu(float *y, const float *x, size_t n) {
  PECO_IN_PLACE for (size_t i = 0; i < n; i++) y[i] = gelu(x[i]);
}

PECO_CLONES void peco_gelu_gradient(float *dx, const float *x, const float *dy, size_t n) {
  PECO_IN_PLACE for (size_t i = 0; i < n; i++) {
    float slope;
    gelu_and_slope(x[i], &slope);
    dx[i] = dy[i] * slope;
  }
}

#define PECO_LOOPS "gelu_of.h"
#include "each_format.h"
