#include "batchnorm.h"

#include "dispatch.h"

PECO_CLONES void peco_batch_norm_moments(const float *restrict x, size_t stride, size_t rows, size_t n,
                                         double *restrict sum, double *restrict square) {
  for (size_t r = 0; r < rows; r++, x += stride)
    for (size_t i = 0; i < n; i++) {
      double value = x[i];
      sum[i] += value;
      square[i] += value * value;
    }
}

PECO_CLONES void peco_batch_norm_sums(const float *restrict x, const float *restrict dy,
                                      const float *restrict factor, const float *restrict shift, size_t stride,
                                      size_t rows, size_t n, double *restrict sum, double *restrict product) {
  for (size_t r = 0; r < rows; r++, x += stride, dy += stride)
    for (size_t i = 0; i < n; i++) {
      double gradient = dy[i];
      sum[i] += gradient;
      product[i] += gradient * (x[i] * factor[i] + shift[i]);
    }
}
