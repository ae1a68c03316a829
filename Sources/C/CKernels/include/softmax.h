// Softmax over rows, alone and inside attention and cross-entropy.
#pragma once
#include <stddef.h>
#include <stdint.h>

/// y = softmax(x) of each of `rows` rows of n.
void peco_softmax(float *y, const float *x, size_t rows, size_t n);
/// dx = y ∘ (dy - Σ y dy)
void peco_softmax_gradient(float *dx, const float *y, const float *dy, size_t rows, size_t n);

/// s = softmax(s + bias) in place, and normalizer[r] = log Σ exp of each row. `bias` is null or a matrix of rows
/// of n, of which row r takes row positions[r] (or row r where `positions` is null).
void peco_attention_softmax(
    float *s, float *normalizer, const float *bias, const int32_t *positions, size_t rows, size_t n);
/// s = exp(s + bias - normalizer[r]) in place: the same weights once more.
void peco_attention_weights(
    float *s, const float *normalizer, const float *bias, const int32_t *positions, size_t rows, size_t n);
/// dp = p ∘ (dp - Σ p dp) in place, and the same added into dbias unless that is null.
void peco_attention_softmax_gradient(
    float *dp, const float *p, float *dbias, const int32_t *positions, size_t rows, size_t n);

/// The sum over rows of the cross-entropy of logits z against targets, smoothed by `smoothing`; keeps
/// normalizer[r] = log Σ exp and counts the rows whose target has the greatest logit.
double peco_cross_entropy(
    float *normalizer, size_t *correct, const float *z, const int32_t *targets, float smoothing, size_t rows,
    size_t n);
/// dz = scale · (softmax(z) - smoothed target); dz may be z.
void peco_cross_entropy_gradient(
    float *dz, const float *z, const float *normalizer, const int32_t *targets, float smoothing, float scale,
    size_t rows, size_t n);

/// The sum over rows of the cross-entropy of logits z against targets t, each a distribution over the n classes; keeps
/// normalizer[r] = log Σ exp.
double peco_soft_cross_entropy(float *normalizer, const float *z, const float *t, size_t rows, size_t n);
/// dz = scale · (softmax(z) Σ t - t)
void peco_soft_cross_entropy_gradient(
    float *dz, const float *z, const float *normalizer, const float *t, float scale, size_t rows, size_t n);

/// As peco_attention_softmax, of scale · s + bias, with the weights in bfloat16; s, in float32, is overwritten. Rows of s
/// and of the weights are n and p_stride apart.
void peco_attention_softmax_bfloat16(
    uint16_t *p, size_t p_stride, float *normalizer, float *s, float scale, const float *bias,
    const int32_t *positions, size_t rows, size_t n);
/// As peco_attention_weights, likewise.
void peco_attention_weights_bfloat16(
    uint16_t *p, size_t p_stride, const float *normalizer, float *s, float scale, const float *bias,
    const int32_t *positions, size_t rows, size_t n);
/// p ∘ (dp - Σ p dp) is added into dbias unless that is null, and ds is its product with `scale`; ds may be p, and dp is
/// overwritten.
void peco_attention_softmax_gradient_bfloat16(
    uint16_t *ds, const uint16_t *p, size_t p_stride, float *dp, float scale, float *dbias,
    const int32_t *positions, size_t rows, size_t n);
