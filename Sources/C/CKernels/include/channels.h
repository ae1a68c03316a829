// Loops over pixels whose channels lie side by side: `rows` pixels of `channels` floats each, row after row.
// Functions whose names end in _bfloat16 do as those without, of images in bfloat16.
#pragma once
#include <stddef.h>
#include <stdint.h>

/// y[r,c] = x[r,c] * scale[c] + offset[c]
void peco_channel_affine(float *y, const float *x, const float *scale, const float *offset, size_t rows,
                         size_t channels);
/// y = silu(x[r,c] * scale[c] + offset[c])
void peco_channel_affine_silu(float *y, const float *x, const float *scale, const float *offset, size_t rows,
                              size_t channels);
/// y[r,c] += term[c]
void peco_add_to_channels(float *y, const float *term, size_t rows, size_t channels);
/// sum[c] += Σ_r (x[r,c] - shift[c]); square[c] += Σ_r (x[r,c] - shift[c])²
void peco_channel_moments(const float *x, const float *shift, size_t rows, size_t channels, double *sum,
                          double *square);
/// sum[c] += Σ_r x[r,c]
void peco_channel_sums(const float *x, size_t rows, size_t channels, double *sum);

/// With x̂ = x[r,c] * factor[c] + shift[c]: sum[c] += Σ_r dy; product[c] += Σ_r dy · x̂
void peco_group_norm_sums(const float *x, const float *dy, const float *factor, const float *shift,
                          size_t rows, size_t channels, double *sum, double *product);
/// As peco_group_norm_sums for dy · silu'(u) in place of dy, where u = x[r,c] * scale[c] + offset[c].
void peco_group_norm_silu_sums(const float *x, const float *dy, const float *scale, const float *offset,
                               const float *factor, const float *shift, size_t rows, size_t channels,
                               double *sum, double *product);
/// dx = dy * scale[c] + x[r,c] * slope[c] + constant[c]
void peco_group_norm_backward(float *dx, const float *x, const float *dy, const float *scale,
                              const float *slope, const float *constant, size_t rows, size_t channels);
/// As peco_group_norm_backward for dy · silu'(u) in place of dy, where u = x[r,c] * scale[c] + offset[c].
void peco_group_norm_silu_backward(float *dx, const float *x, const float *dy, const float *scale,
                                   const float *offset, const float *slope, const float *constant,
                                   size_t rows, size_t channels);

void peco_channel_affine_bfloat16(
    uint16_t *y, const uint16_t *x, const float *scale, const float *offset, size_t rows, size_t channels);
void peco_channel_affine_silu_bfloat16(
    uint16_t *y, const uint16_t *x, const float *scale, const float *offset, size_t rows, size_t channels);
void peco_channel_moments_bfloat16(
    const uint16_t *x, const uint16_t *shift, size_t rows, size_t channels, double *sum, double *square);
void peco_channel_sums_bfloat16(const uint16_t *x, size_t rows, size_t channels, double *sum);
void peco_group_norm_sums_bfloat16(
    const uint16_t *x, const uint16_t *dy, const float *factor, const float *shift, size_t rows, size_t channels,
    double *sum, double *product);
void peco_group_norm_silu_sums_bfloat16(
    const uint16_t *x, const uint16_t *dy, const float *scale, const float *offset, const float *factor, const float
    *shift, size_t rows, size_t channels, double *sum, double *product);
void peco_group_norm_backward_bfloat16(
    uint16_t *dx, const uint16_t *x, const uint16_t *dy, const float *scale, const float *slope, const float
    *constant, size_t rows, size_t channels);
void peco_group_norm_silu_backward_bfloat16(
    uint16_t *dx, const uint16_t *x, const uint16_t *dy, const float *scale, const float *offset, const float
    *slope, const float *constant, size_t rows, size_t channels);

/// y[r,:] = x[r,:] / (‖x[r,:]‖ + epsilon)
void peco_unit_rows(float *y, const float *x, float epsilon, size_t rows, size_t channels);
/// The gradient of peco_unit_rows.
void peco_unit_rows_backward(float *dx, const float *x, const float *dy, float epsilon, size_t rows,
                             size_t channels);
