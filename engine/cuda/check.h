#pragma once
#include <cuda_runtime.h>

#include <stdexcept>
#include <string>

namespace warpbert {

// Throws std::runtime_error "<what>: <the runtime's reason>".
inline void check(cudaError_t e, const char* what) {
  if (e != cudaSuccess) throw std::runtime_error(std::string(what) + ": " + cudaGetErrorString(e));
}

}  // namespace warpbert
