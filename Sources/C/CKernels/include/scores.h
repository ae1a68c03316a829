// The scores of attention: products over the few channels of a head.
#pragma once
#include <stddef.h>

/// s = scale · q kᵀ of `rows` queries and `columns` keys of `channels` channels each, every matrix with its own stride.
/// Returns 0, and does nothing, where a general matrix product serves better: for other processors than AVX-512's, and
/// more than 256 channels.
int peco_scores(
    float *s, size_t s_stride, const float *q, size_t q_stride, const float *k, size_t k_stride, float scale,
    size_t rows, size_t columns, size_t channels);
