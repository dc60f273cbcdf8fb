// Immediate copies of the simulator, whose host and device share memory; not capturable.
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
