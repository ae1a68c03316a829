// Element-wise loops over flat buffers.
#pragma once
#include <stddef.h>

/// y[i] = value
void peco_fill(float *y, float value, size_t n);
/// y[i] += x[i]
void peco_add_in_place(float *y, const float *x, size_t n);
/// y[i] += x[i], in double precision
void peco_add_to_double(double *y, const float *x, size_t n);
/// y[i] = x[i], rounded
void peco_round_double(float *y, const double *x, size_t n);
/// z[i] = x[i] + y[i]; z may be x or y.
void peco_add(float *z, const float *x, const float *y, size_t n);
/// z[i] = x[i] - y[i]; z may be x or y.
void peco_subtract(float *z, const float *x, const float *y, size_t n);
/// z[i] = x[i] * y[i]; z may be x or y.
void peco_multiply(float *z, const float *x, const float *y, size_t n);
/// y[i] += a * x[i]
void peco_add_scaled(float *y, const float *x, float a, size_t n);
/// y[i] = a * x[i]; y may be x.
void peco_scale(float *y, const float *x, float a, size_t n);
/// y[i] = decay · y[i] + (1 − decay) · x[i], computed in double precision: a decay near 1 keeps its digits.
void peco_moving_average(float *y, const float *x, double decay, size_t n);
/// The same of x in double precision.
void peco_moving_average_double(float *y, const double *x, double decay, size_t n);
/// Sum of x[i], accumulated in double precision block by block.
double peco_sum(const float *x, size_t n);
/// Sum of x[i]², accumulated in double precision block by block. Not finite if any element is not.
double peco_sum_of_squares(const float *x, size_t n);
