// Loops behind losses that compare two tensors element by element, and behind vector quantization.
#pragma once
#include <stddef.h>
#include <stdint.h>

/// Σ |x[i] - y[i]|, accumulated in double precision block by block.
double peco_sum_of_absolute_differences(const float *x, const float *y, size_t n);
/// Σ (x[i] - y[i])², accumulated in double precision block by block.
double peco_sum_of_squared_differences(const float *x, const float *y, size_t n);
/// d[i] = scale * sign(x[i] - y[i]); 0 where they are equal.
void peco_difference_signs(float *d, const float *x, const float *y, float scale, size_t n);
/// d[i] = scale * (x[i] - y[i])
void peco_scaled_differences(float *d, const float *x, const float *y, float scale, size_t n);

/// Looks for the least of scores[i] + bias[i]. If it is less than *best, or *index is negative, writes it and
/// first + i, the lowest i where several are least.
void peco_least_biased(const float *scores, const float *bias, size_t n, int32_t first, float *best,
                       int32_t *index);
