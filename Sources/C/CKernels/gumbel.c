#include "gumbel.h"

#include <math.h>
#include <string.h>

#include "dispatch.h"
#include "vectormath.h"

// Counters computed side by side: a vector register of 32-bit lanes.
enum { lanes = 16 };

PECO_INLINE float gumbel(uint32_t word) {
  // 23 bits and a half: never 0 or 1, and exact in float32.
  float u = ((float)(int32_t)(word >> 9) + 0.5f) * 0x1p-23f;
  return -peco_log(-peco_log(u));
}

PECO_CLONES void peco_gumbel_noise(
    float *noise, uint64_t key, uint32_t purpose, uint32_t time, uint32_t index, size_t first, size_t n) {
  size_t end = first + n;
  for (size_t block = first / 4; block * 4 < end; block += lanes) {
    uint32_t a[lanes], b[lanes], c[lanes], d[lanes];
    for (size_t j = 0; j < lanes; j++) {
      a[j] = (uint32_t)(block + j);
      b[j] = purpose;
      c[j] = time;
      d[j] = index;
    }
    uint32_t k0 = (uint32_t)key, k1 = (uint32_t)(key >> 32);
    for (int round = 0; round < 10; round++) {
      for (size_t j = 0; j < lanes; j++) {
        uint64_t x = (uint64_t)0xD2511F53u * a[j], y = (uint64_t)0xCD9E8D57u * c[j];
        a[j] = (uint32_t)(y >> 32) ^ b[j] ^ k0;
        b[j] = (uint32_t)y;
        c[j] = (uint32_t)(x >> 32) ^ d[j] ^ k1;
        d[j] = (uint32_t)x;
      }
      k0 += 0x9E3779B9u;
      k1 += 0xBB67AE85u;
    }
    float values[4 * lanes];
    for (size_t j = 0; j < lanes; j++) {
      values[4 * j] = gumbel(a[j]);
      values[4 * j + 1] = gumbel(b[j]);
      values[4 * j + 2] = gumbel(c[j]);
      values[4 * j + 3] = gumbel(d[j]);
    }
    size_t start = block * 4, from = start < first ? first : start;
    size_t to = start + 4 * lanes < end ? start + 4 * lanes : end;
    memcpy(noise + (from - first), values + (from - start), (to - from) * sizeof(float));
  }
}

PECO_CLONES void peco_add_then_scale(float *y, const float *x, const float *noise, float scale, size_t n) {
  PECO_IN_PLACE for (size_t i = 0; i < n; i++) y[i] = (x[i] + noise[i]) * scale;
}

// Lane by lane, because the compiler does not reorder a maximum as long as there may be NaNs.
PECO_INLINE float greatest(const float *x, size_t n) {
  float lane[lanes];
  for (size_t l = 0; l < lanes; l++) lane[l] = -INFINITY;
  size_t whole = n / lanes * lanes;
  for (size_t i = 0; i < whole; i += lanes)
    for (size_t l = 0; l < lanes; l++) lane[l] = x[i + l] > lane[l] ? x[i + l] : lane[l];
  for (size_t i = whole; i < n; i++) lane[i - whole] = x[i] > lane[i - whole] ? x[i] : lane[i - whole];
  float most = lane[0];
  for (size_t l = 1; l < lanes; l++) most = lane[l] > most ? lane[l] : most;
  return most;
}

PECO_CLONES double peco_uniform_divergence(
    float *restrict normalizer, float *restrict negentropy, const float *restrict z, size_t rows, size_t n) {
  double total = 0;
  for (size_t r = 0; r < rows; r++, z += n) {
    float most = greatest(z, n);
    float sum = 0, weighted = 0;
    for (size_t i = 0; i < n; i++) {
      float e = peco_exp(z[i] - most);
      sum += e;
      // A logit of minus infinity has no share of its own.
      weighted += e > 0 ? e * (z[i] - most) : e;
    }
    float log_sum = logf(sum);
    normalizer[r] = most + log_sum;
    negentropy[r] = weighted / sum - log_sum;
    total += (double)negentropy[r] + log((double)n);
  }
  return total;
}

PECO_CLONES void peco_uniform_divergence_gradient(
    float *restrict dz, const float *restrict z, const float *restrict normalizer,
    const float *restrict negentropy, float scale, size_t rows, size_t n) {
  for (size_t r = 0; r < rows; r++, z += n, dz += n) {
    float shift = normalizer[r], constant = negentropy[r];
    for (size_t i = 0; i < n; i++) {
      float log_q = z[i] - shift;
      float q = peco_exp(log_q);
      dz[i] = q > 0 ? scale * q * (log_q - constant) : q;
    }
  }
}

PECO_CLONES void peco_row_maximum(int32_t *restrict index, const float *restrict x, size_t rows, size_t n) {
  for (size_t r = 0; r < rows; r++, x += n) {
    float most = greatest(x, n);
    size_t first = 0;
    while (first < n && x[first] != most) first++;
    // Where nothing but NaNs is to be found, the first stands for want of a greatest one.
    index[r] = first < n ? (int32_t)first : 0;
  }
}

PECO_CLONES double peco_logit_laplace(const float *restrict statistics, const float *restrict targets, size_t rows) {
  double total = 0;
  for (size_t r = 0; r < rows; r++, statistics += 6, targets += 3) {
    float partial = 0;
    for (size_t c = 0; c < 3; c++) {
      float x = targets[c], log_scale = statistics[3 + c];
      float rest = 1.0f - x;
      float distance = fabsf(peco_log(x) - peco_log(rest) - statistics[c]);
      partial += log_scale + peco_log(2.0f * x * rest) + distance * peco_exp(-log_scale);
    }
    total += partial;
  }
  return total;
}

PECO_CLONES void peco_logit_laplace_gradient(
    float *restrict dstatistics, const float *restrict statistics, const float *restrict targets, float scale,
    size_t rows) {
  for (size_t r = 0; r < rows; r++, statistics += 6, dstatistics += 6, targets += 3) {
    for (size_t c = 0; c < 3; c++) {
      float x = targets[c], inverse = peco_exp(-statistics[3 + c]);
      float difference = peco_log(x) - peco_log(1.0f - x) - statistics[c];
      dstatistics[c] = scale * inverse * (difference > 0 ? -1.0f : (difference < 0 ? 1.0f : difference));
      dstatistics[3 + c] = scale * (1.0f - fabsf(difference) * inverse);
    }
  }
}
