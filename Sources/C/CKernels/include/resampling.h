// Loops that change the size of an image, one row of pixels at a time; channels lie side by side.
#pragma once
#include <stddef.h>
#include <stdint.h>

/// y[w * window + k, c] = scale * x[w, c] for every k < window: a row with each pixel repeated.
void peco_repeat_pixels(float *y, const float *x, float scale, size_t width, size_t channels, size_t window);
/// y[w, c] = scale * Σ x[j, w * window + k, c] over window rows j, `row_stride` floats apart, and pixels k.
void peco_sum_windows(float *y, const float *x, float scale, size_t width, size_t channels, size_t window,
                      size_t row_stride);
/// As peco_repeat_pixels and peco_sum_windows, of images in bfloat16.
void peco_repeat_pixels_bfloat16(
    uint16_t *y, const uint16_t *x, float scale, size_t width, size_t channels, size_t window);
void peco_sum_windows_bfloat16(
    uint16_t *y, const uint16_t *x, float scale, size_t width, size_t channels, size_t window, size_t row_stride);
/// y[w, c] = the greatest of the four values of window w in two rows.
void peco_max_pool_2x2(float *y, const float *top, const float *bottom, size_t width, size_t channels);
/// Sends dy[w, c] to the first place in window w that holds the greatest value, and 0 to the other three.
void peco_max_pool_2x2_backward(float *dtop, float *dbottom, const float *top, const float *bottom,
                                const float *dy, size_t width, size_t channels);
