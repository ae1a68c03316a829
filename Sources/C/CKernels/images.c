#include "images.h"

#include <math.h>
#include <string.h>

#include "dispatch.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

enum { precision = 22 };  // 8 bits of value, 2 of overshoot, 22 of weight

static double filter_support(int filter) {
  switch (filter) {
    case PECO_FILTER_BOX: return 0.5;
    case PECO_FILTER_BILINEAR: return 1;
    case PECO_FILTER_BICUBIC: return 2;
    default: return 3;
  }
}

static double sinc(double x) { return x == 0 ? 1 : sin(x * M_PI) / (x * M_PI); }

static double filter_value(int filter, double x) {
  const double a = -0.5;
  switch (filter) {
    case PECO_FILTER_BOX: return x > -0.5 && x <= 0.5 ? 1 : 0;
    case PECO_FILTER_BILINEAR: x = fabs(x); return x < 1 ? 1 - x : 0;
    case PECO_FILTER_BICUBIC:
      x = fabs(x);
      if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
      if (x < 2) return (((x - 5) * x + 8) * x - 4) * a;
      return 0;
    default: return x >= -3 && x < 3 ? sinc(x) * sinc(x / 3) : 0;
  }
}

int peco_resample_taps(int filter, double extent, int out) {
  double scale = extent / out;
  return (int)ceil(filter_support(filter) * (scale < 1 ? 1 : scale)) * 2 + 1;
}

void peco_resample_weights(int filter, int in, float low, float high, int out, int taps, int32_t *bounds,
                           int32_t *weights) {
  double scale = (double)(high - low) / out;
  double stretch = scale < 1 ? 1 : scale;
  double support = filter_support(filter) * stretch, inverse = 1 / stretch;
  for (int i = 0; i < out; i++) {
    double center = low + (i + 0.5) * scale;
    int start = (int)(center - support + 0.5), end = (int)(center + support + 0.5);
    if (start < 0) start = 0;
    if (end > in) end = in;
    int count = end - start < 0 ? 0 : end - start > taps ? taps : end - start;
    double sum = 0;
    for (int k = 0; k < count; k++) sum += filter_value(filter, (k + start - center + 0.5) * inverse);
    int32_t *weight = weights + (size_t)i * (size_t)taps;
    for (int k = 0; k < count; k++) {
      double value = filter_value(filter, (k + start - center + 0.5) * inverse);
      if (sum != 0) value *= 1 / sum;
      weight[k] = (int32_t)(value * (1 << precision) + (value < 0 ? -0.5 : 0.5));
    }
    memset(weight + count, 0, (size_t)(taps - count) * sizeof *weight);
    bounds[2 * i] = start;
    bounds[2 * i + 1] = count;
  }
}

static inline uint8_t clip(int32_t sum) {
  int32_t value = sum >> precision;
  return (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value);
}

static void rows_plain(const uint8_t *from, size_t bytes_per_row, int rows, uint8_t *to, int out, int taps,
                       const int32_t *bounds, const int32_t *weights, int flip) {
  for (int row = 0; row < rows; row++, from += bytes_per_row, to += (size_t)out * 3) {
    for (int i = 0; i < out; i++) {
      const int32_t *weight = weights + (size_t)i * (size_t)taps;
      const uint8_t *pixel = from + (size_t)bounds[2 * i] * 3;
      int32_t r = 1 << (precision - 1), g = r, b = r;
      for (int k = 0; k < bounds[2 * i + 1]; k++, pixel += 3) {
        r += pixel[0] * weight[k];
        g += pixel[1] * weight[k];
        b += pixel[2] * weight[k];
      }
      uint8_t *target = to + (size_t)(flip ? out - 1 - i : i) * 3;
      target[0] = clip(r);
      target[1] = clip(g);
      target[2] = clip(b);
    }
  }
}

#if defined(__x86_64__)

// Four taps at once: a byte shuffle widens four RGB pixels to pairs of 16 bits, and the multiply-add of pairs
// does the sums. The weights have 24 bits, so each is cut into an upper part and 12 lower bits, which keeps
// the result exact.
enum { lower_bits = 12, group_taps = 4, most_taps = 4000 };

typedef struct {
  __m256i upper;
  __m256i lower;
} weight_group;

__attribute__((target("avx2"))) static void pack_weights(int out, int taps, const int32_t *bounds,
                                                         const int32_t *weights, int groups,
                                                         weight_group *packed) {
  for (int i = 0; i < out; i++) {
    for (int group = 0; group < groups; group++) {
      int16_t upper[16] = {0}, lower[16] = {0};
      for (int k = 0; k < group_taps; k++) {
        int tap = group * group_taps + k;
        int32_t weight = tap < bounds[2 * i + 1] ? weights[(size_t)i * (size_t)taps + (size_t)tap] : 0;
        for (int channel = 0; channel < 3; channel++) {
          int place = (k / 2) * 8 + channel * 2 + (k & 1);
          upper[place] = (int16_t)(weight >> lower_bits);
          lower[place] = (int16_t)(weight & ((1 << lower_bits) - 1));
        }
      }
      packed[i * groups + group].upper = _mm256_loadu_si256((const __m256i *)upper);
      packed[i * groups + group].lower = _mm256_loadu_si256((const __m256i *)lower);
    }
  }
}

__attribute__((target("avx2"), always_inline)) static inline void store_pixel(uint8_t *to, __m256i upper,
                                                                              __m256i lower) {
  __m256i both = _mm256_add_epi32(_mm256_slli_epi32(upper, lower_bits), lower);
  __m128i sum = _mm_add_epi32(_mm256_castsi256_si128(both), _mm256_extracti128_si256(both, 1));
  sum = _mm_srai_epi32(_mm_add_epi32(sum, _mm_set1_epi32(1 << (precision - 1))), precision);
  sum = _mm_packs_epi32(sum, sum);
  int rgb = _mm_cvtsi128_si32(_mm_packus_epi16(sum, sum));
  memcpy(to, &rgb, 3);
}

__attribute__((target("avx2"))) static void rows_avx2(const uint8_t *from, size_t bytes_per_row, int rows,
                                                      uint8_t *to, int out, const int32_t *bounds,
                                                      int groups, const weight_group *packed, int flip) {
  const __m256i spread =
      _mm256_setr_epi8(0, -1, 3, -1, 1, -1, 4, -1, 2, -1, 5, -1, -1, -1, -1, -1,  //
                       6, -1, 9, -1, 7, -1, 10, -1, 8, -1, 11, -1, -1, -1, -1, -1);
  const size_t packed_row = (size_t)out * 3;
  int row = 0;
  for (; row + 4 <= rows; row += 4, from += 4 * bytes_per_row, to += 4 * packed_row) {
    for (int i = 0; i < out; i++) {
      const uint8_t *pixel = from + (size_t)bounds[2 * i] * 3;
      const weight_group *weight = packed + (size_t)i * (size_t)groups;
      __m256i upper[4], lower[4];
      for (int r = 0; r < 4; r++) upper[r] = lower[r] = _mm256_setzero_si256();
      int count = (bounds[2 * i + 1] + group_taps - 1) / group_taps;
      for (int group = 0; group < count; group++, pixel += 3 * group_taps) {
        for (int r = 0; r < 4; r++) {
          __m128i bytes = _mm_loadu_si128((const __m128i *)(pixel + (size_t)r * bytes_per_row));
          __m256i wide = _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(bytes), spread);
          upper[r] = _mm256_add_epi32(upper[r], _mm256_madd_epi16(wide, weight[group].upper));
          lower[r] = _mm256_add_epi32(lower[r], _mm256_madd_epi16(wide, weight[group].lower));
        }
      }
      uint8_t *target = to + (size_t)(flip ? out - 1 - i : i) * 3;
      for (int r = 0; r < 4; r++) store_pixel(target + (size_t)r * packed_row, upper[r], lower[r]);
    }
  }
  for (; row < rows; row++, from += bytes_per_row, to += packed_row) {
    for (int i = 0; i < out; i++) {
      const uint8_t *pixel = from + (size_t)bounds[2 * i] * 3;
      const weight_group *weight = packed + (size_t)i * (size_t)groups;
      __m256i upper = _mm256_setzero_si256(), lower = upper;
      int count = (bounds[2 * i + 1] + group_taps - 1) / group_taps;
      for (int group = 0; group < count; group++, pixel += 3 * group_taps) {
        __m128i bytes = _mm_loadu_si128((const __m128i *)pixel);
        __m256i wide = _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(bytes), spread);
        upper = _mm256_add_epi32(upper, _mm256_madd_epi16(wide, weight[group].upper));
        lower = _mm256_add_epi32(lower, _mm256_madd_epi16(wide, weight[group].lower));
      }
      store_pixel(to + (size_t)(flip ? out - 1 - i : i) * 3, upper, lower);
    }
  }
}

static int groups_of(int taps) { return (taps + group_taps - 1) / group_taps; }

// A group's load reaches at most this far beyond the last pixel of a row.
enum { overreach = 32 };

size_t peco_resample_rows_scratch(int in, int out, int taps) {
  size_t weights = (size_t)out * (size_t)groups_of(taps) * sizeof(weight_group);
  return weights + (size_t)in * 3 + overreach;
}

void peco_resample_rows(const uint8_t *from, size_t bytes_per_row, int rows, int in, uint8_t *to, int out,
                        int taps, const int32_t *bounds, const int32_t *weights, int flip, void *scratch) {
  if (taps > most_taps || !__builtin_cpu_supports("avx2")) {
    rows_plain(from, bytes_per_row, rows, to, out, taps, bounds, weights, flip);
    return;
  }
  int groups = groups_of(taps);
  weight_group *packed = scratch;
  pack_weights(out, taps, bounds, weights, groups, packed);
  // The last rows are read from a padded copy: behind them the memory may end.
  int safe = rows - 1;
  for (size_t behind = bytes_per_row; behind < overreach && safe > 0; behind += bytes_per_row) safe--;
  if (safe < 0) safe = 0;
  rows_avx2(from, bytes_per_row, safe, to, out, bounds, groups, packed, flip);
  uint8_t *padded = (uint8_t *)(packed + (size_t)out * (size_t)groups);
  memset(padded + (size_t)in * 3, 0, overreach);
  for (int row = safe; row < rows; row++) {
    memcpy(padded, from + (size_t)row * bytes_per_row, (size_t)in * 3);
    rows_avx2(padded, 0, 1, to + (size_t)row * (size_t)out * 3, out, bounds, groups, packed, flip);
  }
}

#else

size_t peco_resample_rows_scratch(int in, int out, int taps) {
  (void)in, (void)out, (void)taps;
  return 0;
}

void peco_resample_rows(const uint8_t *from, size_t bytes_per_row, int rows, int in, uint8_t *to, int out,
                        int taps, const int32_t *bounds, const int32_t *weights, int flip, void *scratch) {
  (void)in, (void)scratch;
  rows_plain(from, bytes_per_row, rows, to, out, taps, bounds, weights, flip);
}

#endif

// Columns are summed a strip of values at a time, so that the sums stay in registers.
enum { strip = 64 };

PECO_CLONES void peco_resample_columns(const uint8_t *from, size_t width, int first, uint8_t *to,
                                       size_t bytes_per_row, int out, int taps, const int32_t *bounds,
                                       const int32_t *weights) {
  for (int row = 0; row < out; row++) {
    const uint8_t *source = from + (size_t)(bounds[2 * row] - first) * width;
    const int32_t *weight = weights + (size_t)row * (size_t)taps;
    int count = bounds[2 * row + 1];
    uint8_t *target = to + (size_t)row * bytes_per_row;
    size_t x = 0;
    for (; x + strip <= width; x += strip) {
      int32_t sum[strip];
      for (int i = 0; i < strip; i++) sum[i] = 1 << (precision - 1);
      for (int k = 0; k < count; k++) {
        const uint8_t *values = source + (size_t)k * width + x;
        for (int i = 0; i < strip; i++) sum[i] += values[i] * weight[k];
      }
      for (int i = 0; i < strip; i++) target[x + (size_t)i] = clip(sum[i]);
    }
    for (; x < width; x++) {
      int32_t sum = 1 << (precision - 1);
      for (int k = 0; k < count; k++) sum += source[(size_t)k * width + x] * weight[k];
      target[x] = clip(sum);
    }
  }
}

static inline float clip_float(float value) {
  value = value < 0 ? 0 : value;
  return value > 255 ? 255 : value;
}

PECO_CLONES void peco_resample_columns_float(const uint8_t *from, size_t width, int first, float *to,
                                             int out, int taps, const int32_t *bounds,
                                             const int32_t *weights) {
  const float unit = 1.0f / (1 << precision);
  for (int row = 0; row < out; row++) {
    const uint8_t *source = from + (size_t)(bounds[2 * row] - first) * width;
    const int32_t *weight = weights + (size_t)row * (size_t)taps;
    int count = bounds[2 * row + 1];
    float *target = to + (size_t)row * width;
    size_t x = 0;
    for (; x + strip <= width; x += strip) {
      int32_t sum[strip] = {0};
      for (int k = 0; k < count; k++) {
        const uint8_t *values = source + (size_t)k * width + x;
        for (int i = 0; i < strip; i++) sum[i] += values[i] * weight[k];
      }
      for (int i = 0; i < strip; i++) target[x + (size_t)i] = clip_float((float)sum[i] * unit);
    }
    for (; x < width; x++) {
      int32_t sum = 0;
      for (int k = 0; k < count; k++) sum += source[(size_t)k * width + x] * weight[k];
      target[x] = clip_float((float)sum * unit);
    }
  }
}

PECO_CLONES void peco_image_brightness(float *x, float factor, size_t n) {
  for (size_t i = 0; i < n; i++) x[i] = clip_float(x[i] * factor);
}

PECO_CLONES double peco_image_mean_luma(const float *x, size_t n) {
  double total = 0;
  for (size_t start = 0; start < n; start += 1024) {
    size_t count = n - start < 1024 ? n - start : 1024;
    float partial = 0;
    for (size_t i = start; i < start + count; i++) {
      partial += 0.299f * x[3 * i] + 0.587f * x[3 * i + 1] + 0.114f * x[3 * i + 2];
    }
    total += partial;
  }
  return n > 0 ? total / (double)n : 0;
}

PECO_CLONES void peco_image_scale_and_shift(float *x, float factor, float constant, size_t n) {
  for (size_t i = 0; i < n; i++) x[i] = clip_float(x[i] * factor + constant);
}

PECO_CLONES void peco_image_saturation(float *x, float factor, size_t n) {
  for (size_t i = 0; i < n; i++) {
    float r = x[3 * i], g = x[3 * i + 1], b = x[3 * i + 2];
    float luma = (0.299f * r + 0.587f * g + 0.114f * b) * (1 - factor);
    x[3 * i] = clip_float(r * factor + luma);
    x[3 * i + 1] = clip_float(g * factor + luma);
    x[3 * i + 2] = clip_float(b * factor + luma);
  }
}

PECO_CLONES void peco_image_normalize(float *x, const float *scale, const float *shift, size_t n) {
  float s0 = scale[0], s1 = scale[1], s2 = scale[2], t0 = shift[0], t1 = shift[1], t2 = shift[2];
  for (size_t i = 0; i < n; i++) {
    x[3 * i] = x[3 * i] * s0 + t0;
    x[3 * i + 1] = x[3 * i + 1] * s1 + t1;
    x[3 * i + 2] = x[3 * i + 2] * s2 + t2;
  }
}
