#include "bfloat16.h"

#include "dispatch.h"
#include "half.h"

PECO_CLONES void peco_to_bfloat16(uint16_t *restrict y, const float *restrict x, size_t n) {
  for (size_t i = 0; i < n; i++) y[i] = peco_narrowed(x[i]);
}

PECO_CLONES void peco_from_bfloat16(float *restrict y, const uint16_t *restrict x, size_t n) {
  for (size_t i = 0; i < n; i++) y[i] = peco_widened(x[i]);
}

PECO_CLONES void peco_fill_bfloat16(uint16_t *y, float value, size_t n) {
  uint16_t half = peco_narrowed(value);
  for (size_t i = 0; i < n; i++) y[i] = half;
}

PECO_CLONES void peco_add_bfloat16(uint16_t *z, const uint16_t *x, const uint16_t *y, size_t n) {
  PECO_IN_PLACE for (size_t i = 0; i < n; i++) z[i] = peco_narrowed(peco_widened(x[i]) + peco_widened(y[i]));
}

PECO_CLONES void peco_sum_bfloat16(float *restrict sums, const uint16_t *restrict x, size_t n) {
  for (size_t i = 0; i < n; i++) sums[i] += peco_widened(x[i]);
}

PECO_CLONES void peco_add_column_sums_bfloat16(
    float *restrict sums, const uint16_t *restrict x, size_t stride, size_t rows, size_t n) {
  size_t r = 0;
  // Four rows at once: a quarter of the loads and stores of `sums`.
  for (; r + 4 <= rows; r += 4, x += 4 * stride)
    for (size_t i = 0; i < n; i++)
      sums[i] += peco_widened(x[i]) + peco_widened(x[i + stride]) + peco_widened(x[i + 2 * stride]) +
                 peco_widened(x[i + 3 * stride]);
  for (; r < rows; r++, x += stride)
    for (size_t i = 0; i < n; i++) sums[i] += peco_widened(x[i]);
}
