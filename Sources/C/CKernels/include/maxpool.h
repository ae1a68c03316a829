// The greatest of overlapping windows of pixels; channels lie side by side.
#pragma once
#include <stddef.h>

/// y = the greatest of each 3 × 3 pixels of an image, windows two pixels apart and beginning one pixel outside of it,
/// where nothing is: (height + 1) / 2 × (width + 1) / 2 pixels.
void peco_max_pool_3x3(float *y, const float *x, size_t height, size_t width, size_t channels);
/// Adds dy to dx at the first place of each window that holds its greatest value.
void peco_max_pool_3x3_backward(float *dx, const float *x, const float *dy, size_t height, size_t width,
                                size_t channels);
