// exp, log and the normal distribution as straight-line code, so that loops over them vectorize in every clone.
#pragma once
#include <stdint.h>
#include <string.h>

#define PECO_INLINE static inline __attribute__((always_inline))

/// e^x with a relative error below 2e-7; 0 below -86.6 (no subnormals), infinity above 88.7, NaN for NaN.
PECO_INLINE float peco_exp(float x) {
// The reduction of the argument relies on the order of its two subtractions.
#pragma clang fp reassociate(off)
  float bounded = x < -86.6f ? -86.6f : x;
  bounded = bounded > 88.8f ? 88.8f : bounded;
  bounded = x == x ? bounded : 0.0f;
  int32_t n = (int32_t)(bounded * 1.44269504f + (bounded < 0 ? -0.5f : 0.5f));
  float whole = (float)n;
  float r = bounded - whole * 0.693359375f;
  r = r - whole * -2.12194440e-4f;
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r + 1.0f;
  // 2^n in two factors, because 2^128 has no exponent of its own.
  int32_t bits = (n - 1 + 127) * (1 << 23);
  float power;
  memcpy(&power, &bits, sizeof power);
  float result = p * power * 2.0f;
  result = x < -86.6f ? 0.0f : result;
  return x == x ? result : x;
}

/// ln x for normal x > 0, with a relative error below 2e-7.
PECO_INLINE float peco_log(float x) {
#pragma clang fp reassociate(off)
  int32_t bits;
  memcpy(&bits, &x, sizeof bits);
  // x = 2^n · m with m from √½ to √2.
  int32_t n = (bits - 0x3f3504f3) >> 23;
  bits -= n * (1 << 23);
  float m;
  memcpy(&m, &bits, sizeof m);
  float f = m - 1.0f, whole = (float)n;
  float p = 7.0376836292e-2f;
  p = p * f - 1.1514610310e-1f;
  p = p * f + 1.1676998740e-1f;
  p = p * f - 1.2420140846e-1f;
  p = p * f + 1.4249322787e-1f;
  p = p * f - 1.6668057665e-1f;
  p = p * f + 2.0000714765e-1f;
  p = p * f - 2.4999993993e-1f;
  p = p * f + 3.3333331174e-1f;
  float r = p * f * f * f + whole * -2.12194440e-4f - 0.5f * f * f;
  return f + r + whole * 0.693359375f;
}

/// 1 / (1 + e^-x).
PECO_INLINE float peco_sigmoid(float x) { return 1.0f / (1.0f + peco_exp(-x)); }

/// e^x for numbers that are rounded to bfloat16, with a relative error below 4e-6 for |x| < 87, where it stays beyond; NaN
/// for NaN. Two thirds of the operations of peco_exp.
PECO_INLINE float peco_exp_bfloat16(float x) {
  float y = x * 1.44269504f;
  y = y < -126.0f ? -126.0f : y;
  y = y > 126.0f ? 126.0f : y;
  int32_t n = (int32_t)(y + (y < 0 ? -0.5f : 0.5f));
  float f = y - (float)n;
  float p = 9.5701022e-3f;
  p = p * f + 5.5917863e-2f;
  p = p * f + 2.4024744e-1f;
  p = p * f + 6.9312179e-1f;
  p = p * f + 0.99999928f;
  uint32_t bits;
  memcpy(&bits, &p, sizeof bits);
  bits += (uint32_t)n << 23;
  memcpy(&p, &bits, sizeof p);
  return y == y ? p : y;
}

/// As peco_sigmoid, likewise.
PECO_INLINE float peco_sigmoid_bfloat16(float x) { return 1.0f / (1.0f + peco_exp_bfloat16(-x)); }

/// Φ(x), the distribution function of the standard normal, with a relative error below 1e-6 for x > -5 and 5e-6
/// down to -13, and e^(-x²/2).
///
/// For t = |x|/√2 and s = 1/(1 + 0.3275911 t), erfc(t) e^(t²) is a polynomial in s (fitted by us in the
/// maximum norm of the relative error, 1.1e-7; the form is Abramowitz and Stegun's 7.1.26).
PECO_INLINE float peco_normal_cdf(float x, float *density) {
#pragma clang fp reassociate(off)
  float magnitude = x < 0 ? -x : x;
  float s = 1.0f / (1.0f + 0.3275911f * 0.707106781f * magnitude);
  float q = -0.141868219f;
  q = q * s + 0.499766201f;
  q = q * s - 0.411195636f;
  q = q * s + 0.458106637f;
  q = q * s + 0.0228482224f;
  q = q * s + 0.206680566f;
  q = q * s + 0.180600688f;
  q = q * s + 0.185061634f;
  float e = peco_exp(-0.5f * x * x);
  float tail = 0.5f * e * q * s;
  *density = e;
  return x < 0 ? tail : 1.0f - tail;
}
