#include "activations.h"

#include "dispatch.h"
#include "vectormath.h"

PECO_CLONES void peco_silu(float *restrict y, const float *restrict x, size_t n) {
  for (size_t i = 0; i < n; i++) y[i] = x[i] * peco_sigmoid(x[i]);
}

PECO_CLONES void peco_silu_backward(float *restrict dx, const float *restrict x, const float *restrict dy,
                                    size_t n) {
  for (size_t i = 0; i < n; i++) {
    float s = peco_sigmoid(x[i]);
    dx[i] = dy[i] * s * (1 + x[i] * (1 - s));
  }
}

PECO_CLONES void peco_relu(float *restrict y, const float *restrict x, size_t n) {
  for (size_t i = 0; i < n; i++) y[i] = x[i] < 0 ? 0 : x[i];
}

PECO_CLONES void peco_add_relu(float *restrict z, const float *restrict x, const float *restrict y, size_t n) {
  for (size_t i = 0; i < n; i++) {
    float sum = x[i] + y[i];
    // Written so that a NaN stays.
    z[i] = sum <= 0 ? 0 : sum;
  }
}

PECO_CLONES void peco_relu_backward(float *restrict dx, const float *restrict y, const float *restrict dy,
                                    size_t n) {
  for (size_t i = 0; i < n; i++) dx[i] = y[i] > 0 ? dy[i] : 0;
}

PECO_CLONES void peco_leaky_relu(float *restrict y, const float *restrict x, float slope, size_t n) {
  for (size_t i = 0; i < n; i++) y[i] = x[i] > 0 ? x[i] : slope * x[i];
}

PECO_CLONES void peco_leaky_relu_backward(float *restrict dx, const float *restrict y, const float *restrict dy,
                                          float slope, size_t n) {
  for (size_t i = 0; i < n; i++) dx[i] = y[i] > 0 ? dy[i] : slope * dy[i];
}

PECO_CLONES void peco_sigmoid_forward(float *restrict y, const float *restrict x, size_t n) {
  for (size_t i = 0; i < n; i++) y[i] = peco_sigmoid(x[i]);
}

PECO_CLONES void peco_sigmoid_backward(float *restrict dx, const float *restrict y, const float *restrict dy,
                                       size_t n) {
  for (size_t i = 0; i < n; i++) dx[i] = dy[i] * y[i] * (1 - y[i]);
}
