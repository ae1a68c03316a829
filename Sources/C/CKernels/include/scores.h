// The scores of attention: products over the few channels of a head.
#pragma once
#include <stddef.h>

/// Elements that `peco_turn_keys` writes for `keys` keys of `channels` channels; 0 where a general matrix product
/// serves better than these functions: on other processors than AVX-512's, and for more than 256 channels.
size_t peco_turned_keys_size(size_t keys, size_t channels);

/// Keys, one a row of stride k_stride, in the order in which `peco_scores` reads them.
void peco_turn_keys(float *turned, const float *k, size_t k_stride, size_t keys, size_t channels);

/// s = scale · q kᵀ of `rows` queries and the turned keys.
void peco_scores(
    float *s, size_t s_stride, const float *q, size_t q_stride, const float *turned, float scale, size_t rows,
    size_t keys, size_t channels);
