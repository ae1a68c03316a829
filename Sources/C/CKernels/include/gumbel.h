// What a discrete VAE needs: Gumbel noise, the divergence of its tokens from the uniform prior, and the likelihood of
// pixels under a logit-Laplace distribution.
#pragma once
#include <stddef.h>
#include <stdint.h>

/// noise[i] = -log(-log u), u uniform in (0, 1) in steps of 2^-23 from the word i % 4 of Philox4x32-10 under `key` at
/// the counter (i / 4, purpose, time, index).
void peco_gumbel_noise(
    float *noise, uint64_t key, uint32_t purpose, uint32_t time, uint32_t index, size_t first, size_t n);
/// y = (x + noise) · scale; y may be noise.
void peco_add_then_scale(float *y, const float *x, const float *noise, float scale, size_t n);

/// The sum over rows of KL(softmax(z) ‖ uniform) = Σ q log q + log n; keeps normalizer[r] = log Σ exp z and
/// negentropy[r] = Σ q log q.
double peco_uniform_divergence(float *normalizer, float *negentropy, const float *z, size_t rows, size_t n);
/// dz = scale · q ∘ (log q - negentropy[r])
void peco_uniform_divergence_gradient(
    float *dz, const float *z, const float *normalizer, const float *negentropy, float scale, size_t rows,
    size_t n);
/// index[r] = the first of row r's greatest elements.
void peco_row_maximum(int32_t *index, const float *x, size_t rows, size_t n);

/// Σ log(2 b x (1 - x)) + |logit x - m| / b over rows of 3 targets x in (0, 1), where the row's 6 statistics are three
/// means m and three logarithms of scales b.
double peco_logit_laplace(const float *statistics, const float *targets, size_t rows);
/// dstatistics = scale · the gradient of peco_logit_laplace.
void peco_logit_laplace_gradient(
    float *dstatistics, const float *statistics, const float *targets, float scale, size_t rows);
