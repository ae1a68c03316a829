// Loops over the rows of a matrix: biases, their gradients, residual connections, patches.
#pragma once
#include <stddef.h>
#include <stdint.h>

/// y[r, i] += row[i]; rows of y are `stride` apart.
void peco_add_row(float *y, size_t stride, const float *row, size_t rows, size_t n);
/// sums[i] += Σ_r x[r, i]; rows of x are `stride` apart.
void peco_add_column_sums(float *sums, const float *x, size_t stride, size_t rows, size_t n);
/// y = x + factor · gamma[i] · branch; `gamma` may be null for one.
void peco_residual(
    float *y, const float *x, const float *branch, const float *gamma, float factor, size_t rows, size_t n);
/// y = x + scale[i] · branch + shift[i].
void peco_scaled_residual(
    float *y, const float *x, const float *branch, const float *scale, const float *shift, size_t rows, size_t n);
/// y[r, i] = x[r, i]; rows are y_stride and x_stride apart.
void peco_copy_rows(float *y, size_t y_stride, const float *x, size_t x_stride, size_t rows, size_t n);
/// The same of bfloat16.
void peco_copy_rows_bfloat16(
    uint16_t *y, size_t y_stride, const uint16_t *x, size_t x_stride, size_t rows, size_t n);
/// Σ x[i] y[i].
float peco_dot(const float *x, const float *y, size_t n);
/// dbranch = factor · gamma[i] · dy; dgamma[i] += factor · Σ_r dy branch unless dgamma is null.
void peco_residual_gradient(
    float *dbranch, float *dgamma, const float *dy, const float *branch, const float *gamma, float factor,
    size_t rows, size_t n);
/// Reads the square patch at `image` (channels last, rows `stride` elements apart) in the order
/// (channel, row, column) of a convolution's kernel.
void peco_unfold_patch(float *row, const float *image, size_t stride, size_t patch, size_t channels);
/// Writes it back.
void peco_fold_patch(float *image, const float *row, size_t stride, size_t patch, size_t channels);

/// As peco_scaled_residual, with a branch of bfloat16.
void peco_scaled_residual_bfloat16(
    float *y, const float *x, const uint16_t *branch, const float *scale, const float *shift, size_t rows, size_t n);
/// Its backward: dbranch = scale[i] · dy in bfloat16; sums[i] += Σ_r dy; products[i] += Σ_r dy branch, unless `branch` is
/// null.
void peco_scaled_residual_gradient_bfloat16(
    uint16_t *dbranch, float *sums, float *products, const float *dy, const uint16_t *branch, const float *scale,
    size_t rows, size_t n);
/// As peco_unfold_patch, into bfloat16.
void peco_unfold_patch_bfloat16(uint16_t *row, const float *image, size_t stride, size_t patch, size_t channels);
