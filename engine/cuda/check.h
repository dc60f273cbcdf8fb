#pragma once
#include <cuda_runtime.h>

#include <stdexcept>
#include <string>
#include <utility>

namespace warpbert {

// Throws std::runtime_error "<what>: <the runtime's reason>".
inline void check(cudaError_t e, const char* what) {
  if (e != cudaSuccess) throw std::runtime_error(std::string(what) + ": " + cudaGetErrorString(e));
}

// Owns a CUDA or cuBLASLt handle.
template <class T, auto Destroy>
struct Handle {
  T value = nullptr;
  Handle() = default;
  Handle(Handle&& other) noexcept : value(std::exchange(other.value, nullptr)) {}
  ~Handle() {
    if (value) Destroy(value);
  }
};
using Event = Handle<cudaEvent_t, cudaEventDestroy>;

}  // namespace warpbert
