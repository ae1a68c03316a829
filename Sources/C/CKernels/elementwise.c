#include "elementwise.h"

#include "dispatch.h"

PECO_CLONES void peco_fill(float *y, float value, size_t n) {
  for (size_t i = 0; i < n; i++) y[i] = value;
}

PECO_CLONES void peco_add_in_place(float *restrict y, const float *restrict x, size_t n) {
  for (size_t i = 0; i < n; i++) y[i] += x[i];
}

PECO_CLONES void peco_add_to_double(double *restrict y, const float *restrict x, size_t n) {
  for (size_t i = 0; i < n; i++) y[i] += x[i];
}

PECO_CLONES void peco_round_double(float *restrict y, const double *restrict x, size_t n) {
  for (size_t i = 0; i < n; i++) y[i] = (float)x[i];
}

PECO_CLONES void peco_add(float *z, const float *x, const float *y, size_t n) {
  PECO_IN_PLACE for (size_t i = 0; i < n; i++) z[i] = x[i] + y[i];
}

PECO_CLONES void peco_subtract(float *z, const float *x, const float *y, size_t n) {
  PECO_IN_PLACE for (size_t i = 0; i < n; i++) z[i] = x[i] - y[i];
}

PECO_CLONES void peco_multiply(float *z, const float *x, const float *y, size_t n) {
  PECO_IN_PLACE for (size_t i = 0; i < n; i++) z[i] = x[i] * y[i];
}

PECO_CLONES void peco_add_scaled(float *restrict y, const float *restrict x, float a, size_t n) {
  for (size_t i = 0; i < n; i++) y[i] += a * x[i];
}

PECO_CLONES void peco_scale(float *y, const float *x, float a, size_t n) {
  PECO_IN_PLACE for (size_t i = 0; i < n; i++) y[i] = a * x[i];
}

PECO_CLONES void peco_moving_average(float *restrict y, const float *restrict x, double decay, size_t n) {
  for (size_t i = 0; i < n; i++) y[i] = (float)(decay * y[i] + (1 - decay) * x[i]);
}

PECO_CLONES void peco_moving_average_double(float *restrict y, const double *restrict x, double decay, size_t n) {
  for (size_t i = 0; i < n; i++) y[i] = (float)(decay * y[i] + (1 - decay) * x[i]);
}

// Float sums over a block keep the vector units busy; double sums over the blocks keep the digits.
enum { block = 1024 };

PECO_CLONES double peco_sum(const float *x, size_t n) {
  double total = 0;
  for (size_t start = 0; start < n; start += block) {
    size_t length = n - start < block ? n - start : block;
    float partial = 0;
    for (size_t i = 0; i < length; i++) partial += x[start + i];
    total += partial;
  }
  return total;
}

PECO_CLONES double peco_sum_of_squares(const float *x, size_t n) {
  double total = 0;
  for (size_t start = 0; start < n; start += block) {
    size_t length = n - start < block ? n - start : block;
    float partial = 0;
    for (size_t i = 0; i < length; i++) partial += x[start + i] * x[start + i];
    total += partial;
  }
  return total;
}
