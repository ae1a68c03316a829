// Loops over images: interleaved RGB, 8 bits or float in [0, 255]. Resampling computes what Pillow's
// Image.resize computes, to the bit: weights in fixed point of 22 bits, rows first, rounded and clipped to 8
// bits in between.
#pragma once
#include <stddef.h>
#include <stdint.h>

enum { PECO_FILTER_BOX, PECO_FILTER_BILINEAR, PECO_FILTER_BICUBIC, PECO_FILTER_LANCZOS };

/// Taps an output pixel needs when `extent` source pixels become `out` pixels.
int peco_resample_taps(int filter, double extent, int out);

/// The weights of every output pixel: bounds[2·i] is its first source pixel, bounds[2·i + 1] how many there
/// are, weights[i·taps ...] theirs, zero-filled. The source box is [low, high) of `in` pixels.
void peco_resample_weights(int filter, int in, float low, float high, int out, int taps, int32_t *bounds,
                           int32_t *weights);

/// Bytes of work memory for `peco_resample_rows`.
size_t peco_resample_rows_scratch(int in, int out, int taps);

/// Resamples `rows` rows of `in` pixels to `out` pixels each, packed; mirrored left to right if `flip`.
/// Reads nothing beyond the last pixel of the last row. `scratch` is aligned to 64 bytes.
void peco_resample_rows(const uint8_t *from, size_t bytes_per_row, int rows, int in, uint8_t *to, int out,
                        int taps, const int32_t *bounds, const int32_t *weights, int flip, void *scratch);

/// Resamples the columns of packed rows of `width` values (three a pixel); row 0 is source row `first`.
void peco_resample_columns(const uint8_t *from, size_t width, int first, uint8_t *to, size_t bytes_per_row,
                           int out, int taps, const int32_t *bounds, const int32_t *weights);

/// The same to packed floats, neither rounded nor scaled, clipped to [0, 255].
void peco_resample_columns_float(const uint8_t *from, size_t width, int first, float *to, int out, int taps,
                                 const int32_t *bounds, const int32_t *weights);

/// x ← clip(x · factor) of n values.
void peco_image_brightness(float *x, float factor, size_t n);

/// The mean luma (0.299 R + 0.587 G + 0.114 B) of n pixels.
double peco_image_mean_luma(const float *x, size_t n);

/// x ← clip(x · factor + constant) of n values.
void peco_image_scale_and_shift(float *x, float factor, float constant, size_t n);

/// x ← clip(x · factor + luma · (1 − factor)) of n pixels.
void peco_image_saturation(float *x, float factor, size_t n);

/// x ← x · scale[channel] + shift[channel] of n pixels.
void peco_image_normalize(float *x, const float *scale, const float *shift, size_t n);
