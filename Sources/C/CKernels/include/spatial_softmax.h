// Softmax over rows of scores and its gradient, for attention over the pixels of a small picture.
#pragma once
#include <stddef.h>

/// Each row: s[i] = exp(scale · (s[i] - max)) / Σ, in place.
void peco_spatial_softmax(float *s, float scale, size_t rows, size_t columns);
/// Each row: dp[i] = scale · p[i] · (dp[i] - Σ_j p[j]·dp[j]), in place; p is what peco_spatial_softmax wrote.
void peco_spatial_softmax_backward(float *dp, const float *p, float scale, size_t rows, size_t columns);
