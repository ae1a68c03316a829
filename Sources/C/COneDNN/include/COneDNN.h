// Matrix products and two-dimensional convolution over oneDNN, of float32 and bfloat16. Images have channels last (NHWC), weights
// lie as PyTorch lays them out (OIHW).
//
// Primitives are made once per shape and kept. Every function may be called from any thread; convolutions compute on
// as many OpenMP threads as `threads` says. Functions that compute return 0, or a oneDNN status code after which
// `peco_dnn_last_error` tells what went wrong on the calling thread.
#pragma once
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/// The shape of a convolution. The output's height is
/// (height + pad_top + pad_bottom - kernel_height) / stride + 1, and its width likewise.
typedef struct {
  int32_t batch, height, width, in_channels, out_channels;
  int32_t kernel_height, kernel_width, stride;
  int32_t pad_top, pad_bottom, pad_left, pad_right;
  /// 0: channels last, as below; 16: input and output lie in blocks of 16 channels, [N, C/16, H, W, 16].
  int32_t channel_block;
  /// Not 0: images and their gradients are bfloat16, but for a result that `is_wide_result` makes float32. Weights, bias
  /// and their gradients are float32 in any case.
  int32_t is_narrow;
  int32_t is_wide_result;
} peco_dnn_convolution;

/// What follows a convolution in the same pass.
typedef enum {
  PECO_DNN_NOTHING,
  PECO_DNN_RELU,
  /// Images like the result are added.
  PECO_DNN_ADD,
} peco_dnn_epilogue;

/// y[N,OH,OW,O] = x[N,H,W,I] * weight[O,I,KH,KW] + bias[O], and what follows. `bias` may be null; `added` is read for
/// PECO_DNN_ADD alone.
int peco_dnn_convolution_forward(const peco_dnn_convolution *shape, const void *x, const float *weight,
                                 const float *bias, const void *added, void *y, peco_dnn_epilogue epilogue,
                                 int threads);

/// dx[N,H,W,I], overwritten, from dy[N,OH,OW,O] and weight[O,I,KH,KW].
int peco_dnn_convolution_backward_data(const peco_dnn_convolution *shape, const void *dy,
                                       const float *weight, void *dx, int threads);

/// The gradients of weight and bias go by way of a buffer in a layout of the kernel's own, of this many floats; below 0
/// if that fails. `threads` is one number for this and the next two.
int64_t peco_dnn_convolution_gradient_size(const peco_dnn_convolution *shape, int has_bias, int threads);

/// Overwrites that buffer with what dy[N,OH,OW,O] and x[N,H,W,I] give.
int peco_dnn_convolution_gradient(const peco_dnn_convolution *shape, const void *dy, const void *x, float *gradient,
                                  int has_bias, int threads);

/// Adds the buffer to dweight[O,I,KH,KW], and to dbias[O] unless it is null.
int peco_dnn_convolution_add_gradient(const peco_dnn_convolution *shape, const float *gradient, float *dweight,
                                      float *dbias, int threads);

/// C = alpha op(A) op(B) + beta C for row-major matrices with rows lda, ldb and ldc apart, on the calling thread alone.
int peco_dnn_sgemm(int transpose_a, int transpose_b, int64_t m, int64_t n, int64_t k, float alpha, const float *a,
                   int64_t lda, const float *b, int64_t ldb, float beta, float *c, int64_t ldc);

/// How the right matrix of a product lies.
typedef enum {
  PECO_DNN_PLAIN,
  PECO_DNN_TRANSPOSED,
  /// As CKernels/packing.h says. Only of A and C whose rows have no gaps are such products fast.
  PECO_DNN_PACKED,
} peco_dnn_layout;

/// The shape of a product of bfloat16 matrices, which adds up in float32. No field is left to chance: the bytes are what
/// products are known by.
typedef struct {
  int32_t m, n, k;
  /// From row to row of the stored matrices, in elements.
  int32_t lda, ldb, ldc;
  int8_t transpose_a;
  /// Of peco_dnn_layout.
  int8_t layout_b;
  /// Not 0: C is bfloat16.
  int8_t is_narrow;
  /// Not 0: the product is added to what C, in float32, holds.
  int8_t accumulates;
} peco_dnn_product;

/// C = op(A) op(B) + bias[n] for row-major matrices, on the calling thread alone; `bias` may be null. All of m, n and k
/// are above 0.
int peco_dnn_bfloat16_product(const peco_dnn_product *shape, const uint16_t *a, const uint16_t *b, const float *bias,
                              void *c);

/// What went wrong in the last call on this thread that did not return 0.
const char *peco_dnn_last_error(void);

/// The widest instruction set the library uses on this processor, such as "AVX-512".
const char *peco_dnn_instruction_set(void);
/// Not 0 where the processor multiplies bfloat16 by instructions of its own, and the library uses them.
int peco_dnn_has_bfloat16(void);
/// Not 0 where the library works on blocks of 16 channels, as it does with AVX-512.
int peco_dnn_has_wide_blocks(void);

#ifdef __cplusplus
}
#endif
