// Weighted sums of neighboring pixels, for the blurring of images of three interleaved channels.
#pragma once
#include <stddef.h>

/// y[i] = Σ_k weights[k] · x[i + 3 k] for i < n: a row of pixels, of which x begins `radius` pixels further left.
void peco_blur_row(float *y, const float *x, const float *weights, int taps, size_t n);
/// y[i] = Σ_k weights[k] · rows[k][i] for i < n.
void peco_blur_column(float *y, const float *const *rows, const float *weights, int taps, size_t n);
/// x ← 255 − x where x is at least threshold.
void peco_image_solarize(float *x, float threshold, size_t n);
