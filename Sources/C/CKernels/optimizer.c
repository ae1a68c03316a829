#include "optimizer.h"

#include <math.h>

#include "dispatch.h"

PECO_CLONES void peco_adam(float *restrict value, float *restrict gradient, float *restrict first,
                           float *restrict second, size_t n, const peco_adam_step *step) {
  const peco_adam_step s = *step;
  for (size_t i = 0; i < n; i++) {
    float raw = gradient[i];
    float g = raw * s.gradient_scale + s.coupled_decay * value[i];
    float m = first[i] + s.first_weight * (g - first[i]);
    float v = s.beta2 * second[i] + s.second_weight * g * g;
    first[i] = m;
    second[i] = v;
    value[i] = value[i] * s.value_scale - s.step_size * m / (sqrtf(v) * s.second_scale + s.epsilon);
    gradient[i] = s.zero_gradient ? 0 : raw;
  }
}
