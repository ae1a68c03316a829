// What products and convolutions share.
#pragma once

#include <dlfcn.h>

#include <cstdlib>
#include <dnnl.hpp>
#include <new>
#include <string>

namespace peco {

using dnnl::memory;
using tag = memory::format_tag;

inline dnnl::engine &engine() {
  static dnnl::engine cpu(dnnl::engine::kind::cpu, 0);
  return cpu;
}

inline dnnl::stream &stream() {
  thread_local dnnl::stream here(engine());
  return here;
}

inline std::string &last_error() {
  thread_local std::string here;
  return here;
}

// OpenMP keeps the number of threads per calling thread. The function is looked up when the program runs, so
// that whichever OpenMP library oneDNN brought along is the one that is told.
inline int use_threads(int wanted) {
  using setter = void (*)(int);
  static setter set = reinterpret_cast<setter>(dlsym(RTLD_DEFAULT, "omp_set_num_threads"));
  thread_local int applied = 0;
  if (wanted != applied) {
    if (set) set(wanted);
    applied = wanted;
  }
  return applied;
}

// Memory for what a kernel wants beside its arguments while it runs: one block a thread, which only grows.
class Scratch {
 public:
  float *at_least(size_t bytes) {
    if (bytes > size_) {
      std::free(block_);
      block_ = nullptr;
      size_ = 0;
      size_t rounded = (bytes + 4095) / 4096 * 4096;
      if (posix_memalign(&block_, 4096, rounded) != 0) throw std::bad_alloc();
      size_ = rounded;
    }
    return static_cast<float *>(block_);
  }
  ~Scratch() { std::free(block_); }

 private:
  void *block_ = nullptr;
  size_t size_ = 0;
};

// Room for what a kernel asks for by itself, on the calling thread.
inline memory scratchpad(const memory::desc &description) {
  thread_local Scratch here;
  return memory(description, engine(), here.at_least(description.get_size()));
}

// Runs `body`; what it throws becomes a status, and after the words of `what` the text of `last_error`.
template <typename What, typename Body>
int guarded(What what, Body body) {
  int status;
  std::string reason;
  try {
    body();
    return 0;
  } catch (const dnnl::error &error) {
    status = error.status ? error.status : 1;
    reason = error.what();
  } catch (const std::exception &error) {
    status = 1;
    reason = error.what();
  }
  last_error() = what() + ": " + reason;
  return status;
}

}  // namespace peco
