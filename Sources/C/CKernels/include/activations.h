// SiLU, ReLU, LeakyReLU and the logistic function.
#pragma once
#include <stddef.h>

/// y[i] = x[i] * sigmoid(x[i])
void peco_silu(float *y, const float *x, size_t n);
/// dx[i] = dy[i] * silu'(x[i])
void peco_silu_backward(float *dx, const float *x, const float *dy, size_t n);
/// y[i] = max(x[i], 0), NaN for NaN
void peco_relu(float *y, const float *x, size_t n);
/// z[i] = max(x[i] + y[i], 0)
void peco_add_relu(float *z, const float *x, const float *y, size_t n);
/// dx[i] = dy[i] where y[i] > 0, else 0; y is the output of ReLU.
void peco_relu_backward(float *dx, const float *y, const float *dy, size_t n);
/// y[i] = x[i] > 0 ? x[i] : slope * x[i]
void peco_leaky_relu(float *y, const float *x, float slope, size_t n);
/// dx[i] = dy[i] where y[i] > 0, else slope * dy[i]; y is the output of the function, slope positive.
void peco_leaky_relu_backward(float *dx, const float *y, const float *dy, float slope, size_t n);
/// y[i] = 1 / (1 + exp(-x[i]))
void peco_sigmoid_forward(float *y, const float *x, size_t n);
/// dx[i] = dy[i] * y[i] * (1 - y[i]); y is the output of the function.
void peco_sigmoid_backward(float *dx, const float *y, const float *dy, size_t n);
