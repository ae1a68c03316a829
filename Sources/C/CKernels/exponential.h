// exp and the logistic function in a form that vectorises, for use inside kernels.
#pragma once
#include <stdint.h>

#define PECO_INLINE static inline __attribute__((always_inline))

/// exp(x) to a relative error of about 1e-7: 0 below -87.3, infinite above 88.7, NaN for NaN.
PECO_INLINE float peco_inline_exp(float x) {
  // The steps below lean on rounding errors being what they are: no reordering.
#pragma clang fp reassociate(off)
  // Both ends are moved a little past the range, so that the result there is 0 and infinity by itself.
  float limited = x < -88.4f ? -88.4f : x;
  limited = limited > 88.8f ? 88.8f : limited;
  float turns = limited * 1.44269504088896341f;
  int32_t n = (int32_t)(turns + (turns < 0 ? -0.5f : 0.5f));
  float whole = (float)n;
  // ln 2 in two parts, the first with zeros at its end, so that whole * part is exact.
  float rest = limited - whole * 0.693359375f;
  rest = rest - whole * -2.12194440e-4f;
  float p = 1.9875691500e-4f;
  p = p * rest + 1.3981999507e-3f;
  p = p * rest + 8.3334519073e-3f;
  p = p * rest + 4.1665795894e-2f;
  p = p * rest + 1.6666665459e-1f;
  p = p * rest + 5.0000001201e-1f;
  p = p * rest * rest + rest + 1.0f;
  // 2^n as two factors: n alone may reach 128, which the exponent field does not hold.
  union {
    int32_t i;
    float f;
  } half = {((n >> 1) + 127) << 23}, other = {((n - (n >> 1)) + 127) << 23};
  return p * half.f * other.f;
}

/// 1 / (1 + exp(-x)).
PECO_INLINE float peco_inline_sigmoid(float x) { return 1.0f / (1.0f + peco_inline_exp(-x)); }
