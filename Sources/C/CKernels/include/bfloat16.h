// bfloat16: the upper half of a float32. What is computed is float32; numbers are rounded once, as they are stored.
#pragma once
#include <stddef.h>
#include <stdint.h>

/// y[i] = x[i], rounded to nearest, ties to even. NaN stays NaN, subnormal numbers stay.
void peco_to_bfloat16(uint16_t *y, const float *x, size_t n);
/// y[i] = x[i], exactly.
void peco_from_bfloat16(float *y, const uint16_t *x, size_t n);
/// y[i] = value
void peco_fill_bfloat16(uint16_t *y, float value, size_t n);
/// z[i] = x[i] + y[i]; z may be x or y.
void peco_add_bfloat16(uint16_t *z, const uint16_t *x, const uint16_t *y, size_t n);
/// sums[i] += x[i], in float32.
void peco_sum_bfloat16(float *sums, const uint16_t *x, size_t n);
/// sums[i] += Σ_r x[r, i]; rows of x are `stride` apart.
void peco_add_column_sums_bfloat16(float *sums, const uint16_t *x, size_t stride, size_t rows, size_t n);
