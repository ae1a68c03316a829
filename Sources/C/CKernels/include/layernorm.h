// Layer normalization of rows (Ba et al., 2016).
#pragma once
#include <stddef.h>
#include <stdint.h>

/// y = (x - mean) / √(variance + epsilon) · weight + bias for each of `rows` rows of n, the variance without
/// Bessel's correction; mean[r] and deviation_inverse[r] = 1/√(variance + epsilon) are kept for the gradient.
void peco_layer_norm(
    float *y, float *mean, float *deviation_inverse, const float *x, const float *weight, const float *bias,
    float epsilon, size_t rows, size_t n);
/// Writes dx; adds into dweight[i] and dbias[i].
void peco_layer_norm_gradient(
    float *dx, float *dweight, float *dbias, const float *dy, const float *x, const float *mean,
    const float *deviation_inverse, const float *weight, size_t rows, size_t n);

/// As peco_layer_norm, with y in bfloat16.
void peco_layer_norm_bfloat16(
    uint16_t *y, float *mean, float *deviation_inverse, const float *x, const float *weight, const float *bias,
    float epsilon, size_t rows, size_t n);
/// As peco_layer_norm_gradient, with dy in bfloat16.
void peco_layer_norm_gradient_bfloat16(
    float *dx, float *dweight, float *dbias, const uint16_t *dy, const float *x, const float *mean,
    const float *deviation_inverse, const float *weight, size_t rows, size_t n);
