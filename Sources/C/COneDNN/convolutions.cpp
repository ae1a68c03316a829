#include "COneDNN.h"

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <tuple>
#include <unordered_map>

#include "shared.h"

namespace {

using namespace peco;

enum class Kind { forward, data, weights };

// What a primitive computes: forward what follows it, forward and of weights whether there is a bias.
struct Operation {
  Kind kind;
  bool has_bias = false;
  peco_dnn_epilogue epilogue = PECO_DNN_NOTHING;

  bool operator<(const Operation &other) const {
    return std::tie(kind, has_bias, epilogue) < std::tie(other.kind, other.has_bias, other.epilogue);
  }
};

// One operation on one shape: the convolution, and the reorders between the layouts that callers have and those
// it wants.
struct Primitive {
  dnnl::primitive convolution;
  dnnl::reorder reorder_weight, reorder_source, reorder_destination;
  // As callers have them: NHWC or in blocks of channels, OIHW.
  memory::desc source, destination, weight, bias;
  // As the convolution wants them.
  memory::desc inner_source, inner_destination, inner_weight, scratchpad;
};

dnnl::reorder reorder_between(const memory::desc &from, const memory::desc &to) {
  return dnnl::reorder(dnnl::reorder::primitive_desc(engine(), from, engine(), to));
}

memory::dims output_size(const peco_dnn_convolution &c) {
  return {(c.height + c.pad_top + c.pad_bottom - c.kernel_height) / c.stride + 1,
          (c.width + c.pad_left + c.pad_right - c.kernel_width) / c.stride + 1};
}

std::shared_ptr<Primitive> make(const peco_dnn_convolution &c, Operation operation, dnnl::algorithm algorithm) {
  const auto f32 = memory::data_type::f32;
  const auto type = c.is_narrow ? memory::data_type::bf16 : f32;
  const auto result_type = c.is_wide_result ? f32 : type;
  const auto layout = c.channel_block == 16 ? tag::nChw16c : tag::nhwc;
  auto out = output_size(c);
  memory::dims weight_dims{c.out_channels, c.in_channels, c.kernel_height, c.kernel_width};
  memory::dims strides{c.stride, c.stride}, before{c.pad_top, c.pad_left}, after{c.pad_bottom, c.pad_right};

  auto result = std::make_shared<Primitive>();
  const bool is_forward = operation.kind == Kind::forward;
  memory::dims source_dims{c.batch, c.in_channels, c.height, c.width};
  memory::dims destination_dims{c.batch, c.out_channels, out[0], out[1]};
  result->source = memory::desc(source_dims, operation.kind == Kind::data ? result_type : type, layout);
  result->destination = memory::desc(destination_dims, is_forward ? result_type : type, layout);
  result->weight = memory::desc(weight_dims, f32, tag::oihw);
  result->inner_source = result->source;
  result->inner_destination = result->destination;
  result->bias = memory::desc({c.out_channels}, f32, tag::x);
  memory::desc any_weight(weight_dims, type, tag::any);

  const bool has_bias = operation.has_bias;
  // Working memory of our own: the library's belongs to the thread that made the primitive, and a kernel run by
  // another thread may wait for ever on a barrier that lies in it.
  dnnl::primitive_attr attributes, backward_attributes;
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  backward_attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  dnnl::post_ops epilogue;
  if (operation.epilogue == PECO_DNN_RELU) epilogue.append_eltwise(1, dnnl::algorithm::eltwise_relu, 0, 0);
  if (operation.epilogue == PECO_DNN_ADD) epilogue.append_binary(dnnl::algorithm::binary_add, result->destination);
  attributes.set_post_ops(epilogue);
  // For a backward this is a hint, of images in one number format.
  const auto source = is_forward ? result->source : memory::desc(source_dims, type, layout);
  dnnl::convolution_forward::primitive_desc forward(
      has_bias ? dnnl::convolution_forward::desc(dnnl::prop_kind::forward_training, algorithm, source, any_weight,
                                                 result->bias, result->destination, strides, before, after)
               : dnnl::convolution_forward::desc(dnnl::prop_kind::forward_training, algorithm, source, any_weight,
                                                 result->destination, strides, before, after),
      attributes, engine());

  switch (operation.kind) {
    case Kind::data: {
      dnnl::convolution_backward_data::primitive_desc description(
          {algorithm, result->source, any_weight, result->destination, strides, before, after}, backward_attributes,
          engine(), forward);
      result->convolution = dnnl::convolution_backward_data(description);
      result->inner_weight = description.weights_desc();
      result->scratchpad = description.scratchpad_desc();
      break;
    }
    case Kind::weights: {
      using primitive = dnnl::convolution_backward_weights;
      // Reading a large image channels last, the kernel waits for memory: on copies in blocks of channels it
      // takes 0.8 of the time at stride 1 and 0.35 at stride 2, the copying included. Few output channels would
      // only be padded to a block.
      memory::desc source = result->source, destination = result->destination;
      if (c.channel_block == 0 && c.out_channels >= 16) {
        source = memory::desc(source.dims(), type, tag::any);
        destination = memory::desc(destination.dims(), type, tag::any);
      }
      memory::desc any_gradient(weight_dims, f32, tag::any);
      primitive::primitive_desc description(
          has_bias ? primitive::desc(algorithm, source, any_gradient, result->bias, destination, strides, before,
                                     after)
                   : primitive::desc(algorithm, source, any_gradient, destination, strides, before, after),
          backward_attributes, engine(), forward);
      result->convolution = primitive(description);
      result->inner_source = description.src_desc();
      result->inner_destination = description.diff_dst_desc();
      result->inner_weight = description.diff_weights_desc();
      result->scratchpad = description.scratchpad_desc();
      break;
    }
    case Kind::forward:
      result->convolution = dnnl::convolution_forward(forward);
      result->inner_weight = forward.weights_desc();
      result->scratchpad = forward.scratchpad_desc();
  }

  if (operation.kind == Kind::weights) {
    dnnl::primitive_attr adding;
    dnnl::post_ops sum;
    sum.append_sum(1);
    adding.set_post_ops(sum);
    result->reorder_weight = dnnl::reorder(dnnl::reorder::primitive_desc(
        engine(), result->inner_weight, engine(), result->weight, adding));
  } else if (result->inner_weight != result->weight) {
    result->reorder_weight = reorder_between(result->weight, result->inner_weight);
  }
  if (result->inner_source != result->source)
    result->reorder_source = reorder_between(result->source, result->inner_source);
  if (result->inner_destination != result->destination)
    result->reorder_destination = reorder_between(result->destination, result->inner_destination);
  return result;
}

// Winograd's algorithm (Lavin and Gray, 1509.09308) takes a quarter of the multiplications for a 3 × 3 kernel, and
// about half of the time; oneDNN has it on blocks of channels. Few channels do not fill its products.
bool suits_winograd(const peco_dnn_convolution &c) {
  return !c.is_narrow && c.channel_block == 16 && c.kernel_height == 3 && c.kernel_width == 3 && c.stride == 1 && c.in_channels >= 32 &&
         c.out_channels >= 32;
}

std::shared_ptr<Primitive> make(const peco_dnn_convolution &c, Operation operation) {
  if (suits_winograd(c)) {
    try {
      return make(c, operation, dnnl::algorithm::convolution_winograd);
    } catch (const dnnl::error &) {
      // Not on this processor, or not for this size.
    }
  }
  return make(c, operation, dnnl::algorithm::convolution_direct);
}

using Key = std::tuple<std::string, Operation, int>;

std::shared_ptr<Primitive> primitive(const peco_dnn_convolution &c, Operation operation, int threads) {
  static std::mutex mutex;
  static std::map<Key, std::shared_ptr<Primitive>> known;
  // How a kernel cuts its work is decided when it is made; run by another number of threads it would wait for
  // some that never come.
  Key key{std::string(reinterpret_cast<const char *>(&c), sizeof c), operation, use_threads(threads)};
  std::lock_guard<std::mutex> guard(mutex);
  auto &entry = known[key];
  if (!entry) entry = make(c, operation);
  return entry;
}

memory wrap(const memory::desc &description, const void *data) {
  return memory(description, engine(), const_cast<void *>(data));
}

memory scratchpad(const Primitive &p) { return peco::scratchpad(p.scratchpad); }

// Room for arguments in a layout of the kernel's own.
float *layout_scratch(size_t floats) {
  thread_local Scratch here;
  return here.at_least(floats * sizeof(float));
}

// Size in floats, rounded up to whole cache lines.
size_t room(const memory::desc &description) { return (description.get_size() + 63) / 64 * 16; }

// `data` in the layout `inner`: itself, or a copy at `place`.
memory prepared(const memory::desc &outer, const memory::desc &inner, const dnnl::reorder &reorder,
                const void *data, float *place) {
  if (inner == outer) return wrap(outer, data);
  memory from = wrap(outer, data), to = wrap(inner, place);
  dnnl::reorder(reorder).execute(stream(), from, to);
  return to;
}

memory prepared_weight(const Primitive &p, const float *weight) {
  return prepared(p.weight, p.inner_weight, p.reorder_weight, weight, layout_scratch(room(p.inner_weight)));
}

// Computes what some images give to the gradients of weight, in the convolution's own layout, and after it of bias.
void weight_gradient(const Primitive &p, const void *dy, const void *x, float *gradient, bool has_bias) {
  float *source = layout_scratch(room(p.inner_source) + room(p.inner_destination));
  float *destination = source + room(p.inner_source);
  std::unordered_map<int, memory> arguments{
      {DNNL_ARG_SRC, prepared(p.source, p.inner_source, p.reorder_source, x, source)},
      {DNNL_ARG_DIFF_DST,
       prepared(p.destination, p.inner_destination, p.reorder_destination, dy, destination)},
      {DNNL_ARG_DIFF_WEIGHTS, wrap(p.inner_weight, gradient)},
      {DNNL_ARG_SCRATCHPAD, scratchpad(p)}};
  if (has_bias) arguments.emplace(DNNL_ARG_DIFF_BIAS, wrap(p.bias, gradient + room(p.inner_weight)));
  p.convolution.execute(stream(), arguments);
  stream().wait();
}

template <typename Body>
int guarded(const peco_dnn_convolution &c, const char *what, Body body) {
  auto words = [&] {
    return std::string("oneDNN cannot ") + what + " of a convolution from " + std::to_string(c.in_channels) + " to " +
           std::to_string(c.out_channels) + " channels, kernel " + std::to_string(c.kernel_height) + "x" +
           std::to_string(c.kernel_width) + ", stride " + std::to_string(c.stride) + ", on " +
           std::to_string(c.batch) + " images of " + std::to_string(c.height) + "x" + std::to_string(c.width);
  };
  return peco::guarded(words, body);
}

}  // namespace

extern "C" {

int peco_dnn_convolution_forward(const peco_dnn_convolution *shape, const void *x, const float *weight,
                                 const float *bias, const void *added, void *y, peco_dnn_epilogue epilogue,
                                 int threads) {
  return guarded(*shape, "compute the output", [&] {
    auto p = primitive(*shape, {Kind::forward, bias != nullptr, epilogue}, threads);
    std::unordered_map<int, memory> arguments{{DNNL_ARG_SRC, wrap(p->source, x)},
                                              {DNNL_ARG_WEIGHTS, prepared_weight(*p, weight)},
                                              {DNNL_ARG_DST, wrap(p->destination, y)},
                                              {DNNL_ARG_SCRATCHPAD, scratchpad(*p)}};
    if (bias) arguments.emplace(DNNL_ARG_BIAS, wrap(p->bias, bias));
    if (epilogue == PECO_DNN_ADD)
      arguments.emplace(DNNL_ARG_ATTR_MULTIPLE_POST_OP(0) | DNNL_ARG_SRC_1, wrap(p->destination, added));
    p->convolution.execute(stream(), arguments);
    stream().wait();
  });
}

int peco_dnn_convolution_backward_data(const peco_dnn_convolution *shape, const void *dy,
                                       const float *weight, void *dx, int threads) {
  return guarded(*shape, "compute the input gradient", [&] {
    auto p = primitive(*shape, {Kind::data}, threads);
    p->convolution.execute(stream(), {{DNNL_ARG_DIFF_DST, wrap(p->destination, dy)},
                                      {DNNL_ARG_WEIGHTS, prepared_weight(*p, weight)},
                                      {DNNL_ARG_DIFF_SRC, wrap(p->source, dx)},
                                      {DNNL_ARG_SCRATCHPAD, scratchpad(*p)}});
    stream().wait();
  });
}

int64_t peco_dnn_convolution_gradient_size(const peco_dnn_convolution *shape, int has_bias, int threads) {
  int64_t size = -1;
  guarded(*shape, "prepare the weight gradient", [&] {
    auto p = primitive(*shape, {Kind::weights, has_bias != 0}, threads);
    size = int64_t(room(p->inner_weight) + (has_bias ? room(p->bias) : 0));
  });
  return size;
}

int peco_dnn_convolution_gradient(const peco_dnn_convolution *shape, const void *dy, const void *x, float *gradient,
                                  int has_bias, int threads) {
  return guarded(*shape, "compute the weight gradient", [&] {
    auto p = primitive(*shape, {Kind::weights, has_bias != 0}, threads);
    weight_gradient(*p, dy, x, gradient, has_bias);
  });
}

int peco_dnn_convolution_add_gradient(const peco_dnn_convolution *shape, const float *gradient, float *dweight,
                                      float *dbias, int threads) {
  return guarded(*shape, "add the weight gradient", [&] {
    auto p = primitive(*shape, {Kind::weights, dbias != nullptr}, threads);
    memory part = wrap(p->inner_weight, gradient), total = wrap(p->weight, dweight);
    dnnl::reorder(p->reorder_weight).execute(stream(), part, total);
    stream().wait();
    if (dbias)
      for (int i = 0; i < shape->out_channels; i++) dbias[i] += gradient[room(p->inner_weight) + i];
  });
}

const char *peco_dnn_last_error(void) { return last_error().c_str(); }

const char *peco_dnn_instruction_set(void) {
  switch (dnnl::get_effective_cpu_isa()) {
    case dnnl::cpu_isa::sse41: return "SSE4.1";
    case dnnl::cpu_isa::avx: return "AVX";
    case dnnl::cpu_isa::avx2: return "AVX2";
    case dnnl::cpu_isa::avx2_vnni: return "AVX2 with VNNI";
    case dnnl::cpu_isa::avx512_core: return "AVX-512";
    case dnnl::cpu_isa::avx512_core_vnni: return "AVX-512 with VNNI";
    case dnnl::cpu_isa::avx512_core_bf16: return "AVX-512 with bfloat16";
    case dnnl::cpu_isa::avx512_core_amx: return "AVX-512 with AMX";
    default: return "generic";
  }
}

int peco_dnn_has_bfloat16(void) {
  auto set = dnnl::get_effective_cpu_isa();
  return set == dnnl::cpu_isa::avx512_core_bf16 || set == dnnl::cpu_isa::avx512_core_amx;
}

int peco_dnn_has_wide_blocks(void) { return std::string(peco_dnn_instruction_set()).rfind("AVX-512", 0) == 0; }
}
