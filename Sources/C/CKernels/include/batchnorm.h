// Sums over the rows of a matrix for batch normalization, each added up in double precision, so that how rows are
// spread over ranks does not show in them.
#pragma once
#include <stddef.h>

/// sum[i] += Σ_r x[r, i]; square[i] += Σ_r x[r, i]²; rows are `stride` apart.
void peco_batch_norm_moments(const float *x, size_t stride, size_t rows, size_t n, double *sum, double *square);
/// With x̂ = x[r, i] · factor[i] + shift[i]: sum[i] += Σ_r dy[r, i]; product[i] += Σ_r dy[r, i] · x̂.
void peco_batch_norm_sums(const float *x, const float *dy, const float *factor, const float *shift, size_t stride,
                          size_t rows, size_t n, double *sum, double *product);
