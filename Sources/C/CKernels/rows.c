#include "rows.h"

#include "dispatch.h"
#include "half.h"

PECO_CLONES void peco_add_row(float *restrict y, size_t stride, const float *restrict row, size_t rows, size_t n) {
  for (size_t r = 0; r < rows; r++, y += stride)
    for (size_t i = 0; i < n; i++) y[i] += row[i];
}

PECO_CLONES void peco_add_column_sums(
    float *restrict sums, const float *restrict x, size_t stride, size_t rows, size_t n) {
  size_t r = 0;
  // Four rows at once: a quarter of the loads and stores of `sums`.
  for (; r + 4 <= rows; r += 4, x += 4 * stride)
    for (size_t i = 0; i < n; i++) sums[i] += x[i] + x[i + stride] + x[i + 2 * stride] + x[i + 3 * stride];
  for (; r < rows; r++, x += stride)
    for (size_t i = 0; i < n; i++) sums[i] += x[i];
}

PECO_CLONES void peco_residual(
    float *restrict y, const float *restrict x, const float *restrict branch, const float *restrict gamma,
    float factor, size_t rows, size_t n) {
  for (size_t r = 0; r < rows; r++, x += n, y += n, branch += n) {
    if (gamma)
      for (size_t i = 0; i < n; i++) y[i] = x[i] + factor * gamma[i] * branch[i];
    else
      for (size_t i = 0; i < n; i++) y[i] = x[i] + factor * branch[i];
  }
}

PECO_CLONES void peco_residual_gradient(
    float *restrict dbranch, float *restrict dgamma, const float *restrict dy, const float *restrict branch,
    const float *restrict gamma, float factor, size_t rows, size_t n) {
  for (size_t r = 0; r < rows; r++, dy += n, branch += n, dbranch += n) {
    if (gamma)
      for (size_t i = 0; i < n; i++) dbranch[i] = factor * gamma[i] * dy[i];
    else
      for (size_t i = 0; i < n; i++) dbranch[i] = factor * dy[i];
    if (dgamma)
      for (size_t i = 0; i < n; i++) dgamma[i] += factor * dy[i] * branch[i];
  }
}

PECO_CLONES void peco_scaled_residual(
    float *restrict y, const float *restrict x, const float *restrict branch, const float *restrict scale,
    const float *restrict shift, size_t rows, size_t n) {
  for (size_t r = 0; r < rows; r++, x += n, y += n, branch += n)
    for (size_t i = 0; i < n; i++) y[i] = x[i] + (scale[i] * branch[i] + shift[i]);
}

PECO_CLONES void peco_copy_rows(
    float *restrict y, size_t y_stride, const float *restrict x, size_t x_stride, size_t rows, size_t n) {
  for (size_t r = 0; r < rows; r++, y += y_stride, x += x_stride)
    for (size_t i = 0; i < n; i++) y[i] = x[i];
}

PECO_CLONES void peco_copy_rows_bfloat16(
    uint16_t *restrict y, size_t y_stride, const uint16_t *restrict x, size_t x_stride, size_t rows, size_t n) {
  for (size_t r = 0; r < rows; r++, y += y_stride, x += x_stride)
    for (size_t i = 0; i < n; i++) y[i] = x[i];
}

PECO_CLONES float peco_dot(const float *restrict x, const float *restrict y, size_t n) {
  float sum = 0;
  for (size_t i = 0; i < n; i++) sum += x[i] * y[i];
  return sum;
}

PECO_CLONES void peco_unfold_patch(
    float *restrict row, const float *restrict image, size_t stride, size_t patch, size_t channels) {
  for (size_t c = 0; c < channels; c++)
    for (size_t y = 0; y < patch; y++)
      for (size_t x = 0; x < patch; x++)
        row[(c * patch + y) * patch + x] = image[y * stride + x * channels + c];
}

PECO_CLONES void peco_fold_patch(
    float *restrict image, const float *restrict row, size_t stride, size_t patch, size_t channels) {
  for (size_t c = 0; c < channels; c++)
    for (size_t y = 0; y < patch; y++)
      for (size_t x = 0; x < patch; x++)
        image[y * stride + x * channels + c] = row[(c * patch + y) * patch + x];
}

PECO_CLONES void peco_scaled_residual_bfloat16(
    float *restrict y, const float *restrict x, const uint16_t *restrict branch, const float *restrict scale,
    const float *restrict shift, size_t rows, size_t n) {
  for (size_t r = 0; r < rows; r++, x += n, y += n, branch += n)
    for (size_t i = 0; i < n; i++) y[i] = x[i] + (scale[i] * peco_widened(branch[i]) + shift[i]);
}

PECO_CLONES void peco_scaled_residual_gradient_bfloat16(
    uint16_t *restrict dbranch, float *restrict sums, float *restrict products, const float *restrict dy,
    const uint16_t *restrict branch, const float *restrict scale, size_t rows, size_t n) {
  for (size_t r = 0; r < rows; r++, dy += n, dbranch += n) {
    for (size_t i = 0; i < n; i++) {
      dbranch[i] = peco_narrowed(scale[i] * dy[i]);
      sums[i] += dy[i];
    }
    if (!branch) continue;
    for (size_t i = 0; i < n; i++) products[i] += dy[i] * peco_widened(branch[i]);
    branch += n;
  }
}

PECO_CLONES void peco_unfold_patch_bfloat16(
    uint16_t *restrict row, const float *restrict image, size_t stride, size_t patch, size_t channels) {
  for (size_t c = 0; c < channels; c++)
    for (size_t y = 0; y < patch; y++)
      for (size_t x = 0; x < patch; x++)
        row[(c * patch + y) * patch + x] = peco_narrowed(image[y * stride + x * channels + c]);
}
