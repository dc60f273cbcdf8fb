// The simulator's copies between host and device, which share one memory: at once, and so not as part of a graph.
#pragma once
#include <cstring>
#include <stdexcept>

#include "kernels/kernels.h"
#include "simt/cpu/stream.h"

namespace warpbert {

inline void copy_outside_of_graphs(kernels::Stream stream, void* to, const void* from, size_t bytes) {
  if (stream->graph) throw std::logic_error("host memory is copied while a graph is recorded");
  if (bytes) std::memcpy(to, from, bytes);
}

}  // namespace warpbert
