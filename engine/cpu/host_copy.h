// Host-device copies of the simulator, which shares one memory: immediate, so they cannot be captured.
#pragma once
#include <cstring>
#include <stdexcept>

#include "kernels/kernels.h"
#include "simt/cpu/stream.h"

namespace warpbert {

inline void copy_outside_of_graphs(kernels::Stream stream, void* to, const void* from, size_t bytes) {
  if (stream->graph) throw std::logic_error("host memory is copied during a stream capture");
  if (bytes) std::memcpy(to, from, bytes);
}

}  // namespace warpbert
