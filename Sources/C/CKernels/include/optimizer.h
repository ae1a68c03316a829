// The update rules of optimizers over flat buffers.
#pragma once
#include <stddef.h>

/// The numbers of one Adam step, the same for a whole group of parameters.
typedef struct {
  /// Multiplies each gradient before anything else: the clipping of its norm.
  float gradient_scale;
  /// Times the value, is added to the gradient: Adam's weight decay.
  float coupled_decay;
  /// Multiplies the value before the update: 1 - learning rate × weight decay, AdamW's.
  float value_scale;
  /// One minus the decay of the first moment, and of the second; rounded from double, as beta is near 1.
  float first_weight, second_weight;
  /// Decay of the second moment.
  float beta2;
  /// Learning rate over the first moment's bias correction, 1 - beta1^step.
  float step_size;
  /// One over the root of the second moment's bias correction.
  float second_scale;
  float epsilon;
  /// Whether the gradient is set to zero once it is used.
  int zero_gradient;
} peco_adam_step;

/// One step of Adam or AdamW over n elements, in one pass. The buffers may not overlap.
void peco_adam(float *value, float *gradient, float *first, float *second, size_t n,
               const peco_adam_step *step);
