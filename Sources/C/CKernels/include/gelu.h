// The Gaussian error linear unit, x Φ(x) with Φ the normal distribution function (the exact form, not tanh's).
#pragma once
#include <stddef.h>
#include <stdint.h>

/// y[i] = gelu(x[i]); y may be x.
void peco_gelu(float *y, const float *x, size_t n);
/// dx[i] = dy[i] · gelu'(x[i]); dx may be x or dy.
void peco_gelu_gradient(float *dx, const float *x, const float *dy, size_t n);
/// y[r, i] = gelu(x[r, i] + bias[i]); y may be x.
void peco_bias_gelu(float *y, const float *x, const float *bias, size_t rows, size_t n);
/// Backward of y = gelu(x + bias), which y comes out of once more: x[r, i] becomes dx[r, i] = dy[r, i] · gelu'(
/// x[r, i] + bias[i]), dy[r, i] becomes y[r, i], and dbias[i] += Σ_r dx[r, i].
void peco_bias_gelu_gradient(
    float *x, float *dy, float *dbias, const float *bias, size_t rows, size_t n);

/// As peco_bias_gelu, of bfloat16.
void peco_bias_gelu_bfloat16(uint16_t *y, const uint16_t *x, const float *bias, size_t rows, size_t n);
/// As peco_bias_gelu_gradient, of bfloat16.
void peco_bias_gelu_gradient_bfloat16(
    uint16_t *x, uint16_t *dy, float *dbias, const float *bias, size_t rows, size_t n);
