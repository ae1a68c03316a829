#include "scores.h"

#include <string.h>

#include "processors.h"

// A general product packs both its matrices, which pays for itself over thousands of channels. A head has 64: here keys
// are turned on their side, 32 at a time, and all queries pass them as they lie in memory.

#if defined(__x86_64__)

#define AVX512 __attribute__((target("arch=x86-64-v4")))
#define UNROLLED _Pragma("clang loop unroll(full)")

typedef float vector __attribute__((vector_size(64)));
typedef float unaligned_vector __attribute__((vector_size(64), aligned(4)));

// Eleven rows of two vectors are sums enough to keep both multiply-add units busy, and 18 times eleven are 198: what
// the 197 tokens of an image of 224² need.
enum { lanes = 16, wide = 2 * lanes, tall = 11, most_channels = 256 };

static inline size_t smaller(size_t a, size_t b) { return a < b ? a : b; }

// Four perfect shuffles of 16 rows transpose them.
AVX512 static inline void transpose(vector *rows) {
  UNROLLED for (int round = 0; round < 4; round++) {
    vector mixed[lanes];
    UNROLLED for (int i = 0; i < lanes / 2; i++) {
      vector a = rows[i], b = rows[i + lanes / 2];
      mixed[2 * i] = __builtin_shufflevector(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
      mixed[2 * i + 1] =
          __builtin_shufflevector(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
    }
    UNROLLED for (int i = 0; i < lanes; i++) rows[i] = mixed[i];
  }
}

// panel[d][v] = channel d of keys 16 v to 16 v + 15; those beyond `keys` are the last one again.
AVX512 static void turn(
    unaligned_vector (*panel)[2], const float *k, size_t k_stride, size_t keys, size_t channels) {
  for (size_t v = 0; v < 2; v++)
    for (size_t d = 0; d < channels; d += lanes) {
      vector block[lanes];
      size_t count = smaller(lanes, channels - d);
      for (size_t i = 0; i < lanes; i++) {
        const float *key = k + smaller(v * lanes + i, keys - 1) * k_stride + d;
        if (count == lanes)
          block[i] = *(const unaligned_vector *)key;
        else
          memcpy(&block[i], key, count * sizeof(float));
      }
      transpose(block);
      for (size_t i = 0; i < count; i++) panel[d + i][v] = block[i];
    }
}

AVX512 static inline void store(float *s, vector x, size_t count) {
  if (count >= lanes)
    *(unaligned_vector *)s = x;
  else
    memcpy(s, &x, count * sizeof(float));
}

// Eleven queries and one panel of keys, of which `vectors` vectors matter.
AVX512 __attribute__((always_inline)) static inline void strip(
    float *s, size_t s_stride, const float *const *q, const unaligned_vector (*panel)[2], float scale,
    size_t rows, size_t keys, size_t channels, int vectors) {
  vector sum[tall][2];
  UNROLLED for (int r = 0; r < tall; r++)
    UNROLLED for (int v = 0; v < vectors; v++) sum[r][v] = (vector){0};
  for (size_t d = 0; d < channels; d++)
    UNROLLED for (int r = 0; r < tall; r++)
      UNROLLED for (int v = 0; v < vectors; v++) sum[r][v] += q[r][d] * panel[d][v];
  UNROLLED for (int r = 0; r < tall; r++) {
    if ((size_t)r >= rows) break;
    store(s + r * s_stride, sum[r][0] * scale, keys);
    if (vectors > 1) store(s + r * s_stride + lanes, sum[r][1] * scale, keys - lanes);
  }
}

AVX512 static void scores(
    float *s, size_t s_stride, const float *q, size_t q_stride, const float *turned, float scale, size_t rows,
    size_t keys, size_t channels) {
  for (size_t key = 0; key < keys; key += wide) {
    const unaligned_vector(*panel)[2] = (const unaligned_vector(*)[2])(turned + key * channels);
    size_t width = smaller(wide, keys - key);
    for (size_t row = 0; row < rows; row += tall) {
      // Rows beyond the last are the last one again, and not stored.
      const float *queries[tall];
      for (size_t r = 0; r < tall; r++) queries[r] = q + smaller(row + r, rows - 1) * q_stride;
      float *to = s + row * s_stride + key;
      if (width > lanes)
        strip(to, s_stride, queries, panel, scale, rows - row, width, channels, 2);
      else
        strip(to, s_stride, queries, panel, scale, rows - row, width, channels, 1);
    }
  }
}

size_t peco_turned_keys_size(size_t keys, size_t channels) {
  if (channels > most_channels || peco_vector_bits() < 512) return 0;
  return (keys + wide - 1) / wide * wide * channels;
}

void peco_turn_keys(float *turned, const float *k, size_t k_stride, size_t keys, size_t channels) {
  for (size_t key = 0; key < keys; key += wide)
    turn(
        (unaligned_vector(*)[2])(turned + key * channels), k + key * k_stride, k_stride, keys - key, channels);
}

void peco_scores(
    float *s, size_t s_stride, const float *q, size_t q_stride, const float *turned, float scale, size_t rows,
    size_t keys, size_t channels) {
  if (rows) scores(s, s_stride, q, q_stride, turned, scale, rows, keys, channels);
}

#else

size_t peco_turned_keys_size(size_t keys, size_t channels) { return 0; }
void peco_turn_keys(float *turned, const float *k, size_t k_stride, size_t keys, size_t channels) {}
void peco_scores(
    float *s, size_t s_stride, const float *q, size_t q_stride, const float *turned, float scale, size_t rows,
    size_t keys, size_t channels) {}

#endif
