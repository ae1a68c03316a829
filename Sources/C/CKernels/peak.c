#include "peak.h"

#include "processors.h"

typedef float vector4 __attribute__((vector_size(16)));
typedef float vector8 __attribute__((vector_size(32)));
typedef float vector16 __attribute__((vector_size(64)));

// Ten chains hide a latency of four cycles on two units, and leave registers for the factors.
#define CHAINS(BODY) BODY(0) BODY(1) BODY(2) BODY(3) BODY(4) BODY(5) BODY(6) BODY(7) BODY(8) BODY(9)
enum { chains = 10 };

#define DEFINE(NAME, VECTOR, LANES, TARGET)                                        \
  TARGET static double NAME(long rounds, float *sink) {                            \
    VECTOR factor = {0}, term = {0};                                               \
    factor += 0.999f, term += 1e-3f;                                               \
    DECLARE_ALL(VECTOR)                                                            \
    for (long i = 0; i < rounds; i++) {                                            \
      CHAINS(STEP)                                                                 \
      __asm__ volatile("" : "+x"(x0));                                             \
    }                                                                              \
    VECTOR sum = x0 + x1 + x2 + x3 + x4 + x5 + x6 + x7 + x8 + x9;                   \
    *sink = sum[0];                                                                \
    return 2.0 * LANES * chains * (double)rounds;                                  \
  }
#define DECLARE(I) x##I = factor + I
#define DECLARE_ALL(VECTOR)                                                         \
  VECTOR DECLARE(0), DECLARE(1), DECLARE(2), DECLARE(3), DECLARE(4), DECLARE(5),    \
      DECLARE(6), DECLARE(7), DECLARE(8), DECLARE(9);
#define STEP(I) x##I = x##I * factor + term;

#if defined(__x86_64__)
DEFINE(rounds512, vector16, 16, __attribute__((target("arch=x86-64-v4"))))
DEFINE(rounds256, vector8, 8, __attribute__((target("arch=x86-64-v3"))))
DEFINE(rounds128, vector4, 4, )

double peco_multiply_add_rounds(long rounds, float *sink) {
  switch (peco_vector_bits()) {
    case 512: return rounds512(rounds, sink);
    case 256: return rounds256(rounds, sink);
    default: return rounds128(rounds, sink);
  }
}
#else
#undef DEFINE
double peco_multiply_add_rounds(long rounds, float *sink) {
  vector4 factor = {0.999f, 0.999f, 0.999f, 0.999f}, term = {1e-3f, 1e-3f, 1e-3f, 1e-3f};
  DECLARE_ALL(vector4)
  for (long i = 0; i < rounds; i++) {
    CHAINS(STEP)
    __asm__ volatile("" : "+w"(x0));
  }
  vector4 sum = x0 + x1 + x2 + x3 + x4 + x5 + x6 + x7 + x8 + x9;
  *sink = sum[0];
  return 2.0 * 4 * chains * (double)rounds;
}
#endif
