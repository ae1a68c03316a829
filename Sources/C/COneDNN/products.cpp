#include <cstring>
#include <memory>
#include <string>
#include <unordered_map>

#include "COneDNN.h"
#include "shared.h"

namespace {

using namespace peco;

// A product of one shape, with the memory objects that are filled in at each call.
struct Product {
  dnnl::matmul kernel;
  memory a, b, bias, c;
  memory::desc scratchpad;
  std::unordered_map<int, memory> arguments;
};

std::unique_ptr<Product> make(const peco_dnn_product &p, bool has_bias) {
  const auto half = memory::data_type::bf16, wide = memory::data_type::f32;
  memory::desc a({p.m, p.k}, half, p.transpose_a ? memory::dims{1, p.lda} : memory::dims{p.lda, 1});
  const auto b = p.layout_b == PECO_DNN_PACKED
                     ? memory::desc({p.k, p.n}, half, tag::BA16a64b2a)
                     : memory::desc({p.k, p.n}, half, p.layout_b == PECO_DNN_TRANSPOSED ? memory::dims{1, p.ldb} : memory::dims{p.ldb, 1});
  memory::desc c({p.m, p.n}, p.is_narrow ? half : wide, memory::dims{p.ldc, 1});
  memory::desc bias({1, p.n}, wide, memory::dims{p.n, 1});
  dnnl::primitive_attr attributes;
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  if (p.accumulates) {
    dnnl::post_ops sum;
    sum.append_sum(1);
    attributes.set_post_ops(sum);
  }
  dnnl::matmul::primitive_desc description(
      has_bias ? dnnl::matmul::desc(a, b, bias, c) : dnnl::matmul::desc(a, b, c), attributes, engine());
  auto result = std::make_unique<Product>();
  result->kernel = dnnl::matmul(description);
  result->a = memory(a, engine(), nullptr);
  result->b = memory(b, engine(), nullptr);
  result->c = memory(c, engine(), nullptr);
  result->scratchpad = description.scratchpad_desc();
  result->arguments = {{DNNL_ARG_SRC, result->a}, {DNNL_ARG_WEIGHTS, result->b}, {DNNL_ARG_DST, result->c}};
  if (has_bias) {
    result->bias = memory(bias, engine(), nullptr);
    result->arguments.emplace(DNNL_ARG_BIAS, result->bias);
  }
  return result;
}

// Stochastic depth makes a few dozen shapes of a model; images of any size could make more than are worth keeping.
constexpr size_t most_products = 2048;

// The calling thread's own: nobody waits for another, and what a kernel is given is not changed under it.
Product &product(const peco_dnn_product &p, bool has_bias) {
  thread_local std::unordered_map<std::string, std::unique_ptr<Product>> known;
  std::string key(reinterpret_cast<const char *>(&p), sizeof p);
  key.push_back(has_bias ? 1 : 0);
  if (known.size() > most_products) known.clear();
  auto &entry = known[key];
  if (!entry) entry = make(p, has_bias);
  return *entry;
}

}  // namespace

extern "C" {

int peco_dnn_bfloat16_product(const peco_dnn_product *shape, const uint16_t *a, const uint16_t *b, const float *bias,
                              void *c) {
  auto words = [&] {
    return "oneDNN cannot multiply " + std::to_string(shape->m) + " x " + std::to_string(shape->k) + " by " +
           std::to_string(shape->k) + " x " + std::to_string(shape->n) + " in bfloat16";
  };
  return guarded(words, [&] {
    use_threads(1);
    auto &p = product(*shape, bias != nullptr);
    p.a.set_data_handle(const_cast<uint16_t *>(a));
    p.b.set_data_handle(const_cast<uint16_t *>(b));
    p.c.set_data_handle(c);
    if (bias) p.bias.set_data_handle(const_cast<float *>(bias));
    p.arguments[DNNL_ARG_SCRATCHPAD] = scratchpad(p.scratchpad);
    p.kernel.execute(stream(), p.arguments);
    stream().wait();
  });
}

int peco_dnn_sgemm(int transpose_a, int transpose_b, int64_t m, int64_t n, int64_t k, float alpha, const float *a,
                   int64_t lda, const float *b, int64_t ldb, float beta, float *c, int64_t ldc) {
  if (k == 0) {  // of which oneDNN thinks that there is nothing to do
    for (int64_t row = 0; row < m; row++)
      for (int64_t i = 0; i < n; i++) c[row * ldc + i] = beta == 0 ? 0 : beta * c[row * ldc + i];
    return 0;
  }
  use_threads(1);
  return dnnl_sgemm(transpose_a ? 'T' : 'N', transpose_b ? 'T' : 'N', m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
}
}
