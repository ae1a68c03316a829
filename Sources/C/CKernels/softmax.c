#include "softmax.h"

#include <math.h>

#include "dispatch.h"
#include "half.h"
#include "vectormath.h"

enum { lanes = 16 };

// Rows are rarely a multiple of the vector width: the rest goes through a padded copy instead of one by one.
//
// narrow: Whether the numbers are rounded to bfloat16 thereafter.
PECO_INLINE float exp_in_place(float *restrict x, float shift, size_t n, int narrow) {
  size_t whole = n / lanes * lanes;
  float sum = 0;
  for (size_t i = 0; i < whole; i++) {
    float e = narrow ? peco_exp_bfloat16(x[i] - shift) : peco_exp(x[i] - shift);
    x[i] = e;
    sum += e;
  }
  if (whole < n) {
    float rest[lanes];
    for (size_t i = 0; i < lanes; i++) rest[i] = -INFINITY;
    for (size_t i = whole; i < n; i++) rest[i - whole] = x[i] - shift;
    for (size_t i = 0; i < lanes; i++) {
      rest[i] = narrow ? peco_exp_bfloat16(rest[i]) : peco_exp(rest[i]);
      sum += rest[i];
    }
    for (size_t i = whole; i < n; i++) x[i] = rest[i - whole];
  }
  return sum;
}

// Lane by lane, because the compiler does not reorder a maximum as long as there may be NaNs. Those are passed over.
PECO_INLINE float maximum(const float *x, size_t n) {
  float lane[lanes], rest[lanes];
  for (size_t l = 0; l < lanes; l++) lane[l] = rest[l] = -INFINITY;
  size_t whole = n / lanes * lanes;
  for (size_t i = 0; i < whole; i += lanes)
    for (size_t l = 0; l < lanes; l++) lane[l] = x[i + l] > lane[l] ? x[i + l] : lane[l];
  for (size_t i = whole; i < n; i++) rest[i - whole] = x[i];
  for (size_t l = 0; l < lanes; l++) lane[l] = rest[l] > lane[l] ? rest[l] : lane[l];
  for (size_t l = 0; l < 8; l++) lane[l] = lane[l + 8] > lane[l] ? lane[l + 8] : lane[l];
  for (size_t l = 0; l < 4; l++) lane[l] = lane[l + 4] > lane[l] ? lane[l + 4] : lane[l];
  float a = lane[2] > lane[0] ? lane[2] : lane[0];
  float b = lane[3] > lane[1] ? lane[3] : lane[1];
  return a > b ? a : b;
}

PECO_CLONES void peco_softmax(float *restrict y, const float *restrict x, size_t rows, size_t n) {
  for (size_t r = 0; r < rows; r++, x += n, y += n) {
    float most = maximum(x, n);
    for (size_t i = 0; i < n; i++) y[i] = x[i];
    float scale = 1.0f / exp_in_place(y, most, n, 0);
    for (size_t i = 0; i < n; i++) y[i] *= scale;
  }
}

PECO_CLONES void peco_softmax_gradient(
    float *restrict dx, const float *restrict y, const float *restrict dy, size_t rows, size_t n) {
  for (size_t r = 0; r < rows; r++, y += n, dy += n, dx += n) {
    float dot = 0;
    for (size_t i = 0; i < n; i++) dot += y[i] * dy[i];
    for (size_t i = 0; i < n; i++) dx[i] = y[i] * (dy[i] - dot);
  }
}

PECO_INLINE const float *bias_row(const float *bias, const int32_t *positions, size_t r, size_t n) {
  return bias + (positions ? (size_t)positions[r] : r) * n;
}

PECO_CLONES void peco_attention_softmax(
    float *restrict s, float *restrict normalizer, const float *restrict bias,
    const int32_t *restrict positions, size_t rows, size_t n) {
  for (size_t r = 0; r < rows; r++, s += n) {
    if (bias) {
      const float *b = bias_row(bias, positions, r, n);
      for (size_t i = 0; i < n; i++) s[i] += b[i];
    }
    float most = maximum(s, n);
    float sum = exp_in_place(s, most, n, 0);
    float scale = 1.0f / sum;
    for (size_t i = 0; i < n; i++) s[i] *= scale;
    normalizer[r] = most + logf(sum);
  }
}

PECO_CLONES void peco_attention_weights(
    float *restrict s, const float *restrict normalizer, const float *restrict bias,
    const int32_t *restrict positions, size_t rows, size_t n) {
  for (size_t r = 0; r < rows; r++, s += n) {
    if (bias) {
      const float *b = bias_row(bias, positions, r, n);
      for (size_t i = 0; i < n; i++) s[i] += b[i];
    }
    exp_in_place(s, normalizer[r], n, 0);
  }
}

PECO_CLONES void peco_attention_softmax_gradient(
    float *restrict dp, const float *restrict p, float *restrict dbias, const int32_t *restrict positions,
    size_t rows, size_t n) {
  for (size_t r = 0; r < rows; r++, p += n, dp += n) {
    float dot = 0;
    for (size_t i = 0; i < n; i++) dot += p[i] * dp[i];
    for (size_t i = 0; i < n; i++) dp[i] = p[i] * (dp[i] - dot);
    if (dbias) {
      float *d = (float *)bias_row(dbias, positions, r, n);
      for (size_t i = 0; i < n; i++) d[i] += dp[i];
    }
  }
}

PECO_CLONES double peco_cross_entropy(
    float *restrict normalizer, size_t *correct, const float *restrict z, const int32_t *restrict targets,
    float smoothing, size_t rows, size_t n) {
  double loss = 0;
  size_t hits = 0;
  for (size_t r = 0; r < rows; r++, z += n) {
    float most = maximum(z, n);
    float sum = 0, total = 0;
    for (size_t i = 0; i < n; i++) {
      sum += peco_exp(z[i] - most);
      total += z[i];
    }
    normalizer[r] = most + logf(sum);
    float target = z[targets[r]];
    loss += (1.0f - smoothing) * (normalizer[r] - target);
    if (smoothing != 0.0f) loss += smoothing * (normalizer[r] - total / (float)n);
    if (target >= most) {
      // Of equal logits the first is the answer, as with argmax.
      int32_t first = 0;
      while (z[first] != most) first++;
      hits += first == targets[r];
    }
  }
  *correct = hits;
  return loss;
}

PECO_CLONES void peco_cross_entropy_gradient(
    float *dz, const float *z, const float *restrict normalizer, const int32_t *restrict targets, float smoothing,
    float scale, size_t rows, size_t n) {
  float share = smoothing / (float)n;
  for (size_t r = 0; r < rows; r++, z += n, dz += n) {
    float shift = normalizer[r];
    PECO_IN_PLACE for (size_t i = 0; i < n; i++) dz[i] = scale * (peco_exp(z[i] - shift) - share);
    dz[targets[r]] -= scale * (1.0f - smoothing);
  }
}

PECO_CLONES double peco_soft_cross_entropy(
    float *restrict normalizer, const float *restrict z, const float *restrict t, size_t rows, size_t n) {
  double loss = 0;
  for (size_t r = 0; r < rows; r++, z += n, t += n) {
    float most = maximum(z, n);
    float sum = 0, total = 0, product = 0;
    for (size_t i = 0; i < n; i++) {
      sum += peco_exp(z[i] - most);
      total += t[i];
      product += t[i] * (z[i] - most);
    }
    normalizer[r] = most + logf(sum);
    loss += total * logf(sum) - product;
  }
  return loss;
}

PECO_CLONES void peco_soft_cross_entropy_gradient(
    float *restrict dz, const float *restrict z, const float *restrict normalizer, const float *restrict t,
    float scale, size_t rows, size_t n) {
  for (size_t r = 0; r < rows; r++, z += n, t += n, dz += n) {
    float shift = normalizer[r];
    float total = 0;
    for (size_t i = 0; i < n; i++) total += t[i];
    for (size_t i = 0; i < n; i++) dz[i] = scale * (total * peco_exp(z[i] - shift) - t[i]);
  }
}

PECO_INLINE void scale_and_shift(
    float *restrict s, float scale, const float *restrict bias, const int32_t *restrict positions, size_t r,
    size_t n) {
  if (bias) {
    const float *b = bias_row(bias, positions, r, n);
    for (size_t i = 0; i < n; i++) s[i] = scale * s[i] + b[i];
  } else {
    for (size_t i = 0; i < n; i++) s[i] *= scale;
  }
}

PECO_CLONES void peco_attention_softmax_bfloat16(
    uint16_t *restrict p, size_t p_stride, float *restrict normalizer, float *restrict s, float scale,
    const float *restrict bias, const int32_t *restrict positions, size_t rows, size_t n) {
  for (size_t r = 0; r < rows; r++, s += n, p += p_stride) {
    scale_and_shift(s, scale, bias, positions, r, n);
    float most = maximum(s, n);
    float sum = exp_in_place(s, most, n, 1);
    float share = 1.0f / sum;
    for (size_t i = 0; i < n; i++) p[i] = peco_narrowed(s[i] * share);
    normalizer[r] = most + logf(sum);
  }
}

PECO_CLONES void peco_attention_weights_bfloat16(
    uint16_t *restrict p, size_t p_stride, const float *restrict normalizer, float *restrict s, float scale,
    const float *restrict bias, const int32_t *restrict positions, size_t rows, size_t n) {
  for (size_t r = 0; r < rows; r++, s += n, p += p_stride) {
    scale_and_shift(s, scale, bias, positions, r, n);
    exp_in_place(s, normalizer[r], n, 1);
    for (size_t i = 0; i < n; i++) p[i] = peco_narrowed(s[i]);
  }
}

PECO_CLONES void peco_attention_softmax_gradient_bfloat16(
    uint16_t *ds, const uint16_t *p, size_t p_stride, float *restrict dp, float scale,
    float *restrict dbias, const int32_t *restrict positions, size_t rows, size_t n) {
  for (size_t r = 0; r < rows; r++, p += p_stride, ds += p_stride, dp += n) {
    float dot = 0;
    for (size_t i = 0; i < n; i++) dot += peco_widened(p[i]) * dp[i];
    for (size_t i = 0; i < n; i++) dp[i] = peco_widened(p[i]) * (dp[i] - dot);
    PECO_IN_PLACE for (size_t i = 0; i < n; i++) ds[i] = peco_narrowed(scale * dp[i]);
    if (dbias) {
      float *d = (float *)bias_row(dbias, positions, r, n);
      for (size_t i = 0; i < n; i++) d[i] += dp[i];
    }
  }
}
