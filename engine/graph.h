// A graph: work for the device, recorded once and replayed as a whole. A launch costs the host some microseconds and
// the device a gap; a replayed step of hundreds of kernels costs one launch, and its branches run beside each other.
//
// On a GPU it is a CUDA graph. The simulator replays it in any order its edges allow (simt/cpu/stream.h).
#pragma once
#include <cstddef>
#include <functional>
#include <memory>
#include <stdexcept>

#include "device.h"

namespace warpbert {

// A graph takes device memory, by the driver's account a megabyte or more for a step of hundreds of kernels.
struct NoMemoryForGraph : std::runtime_error {
  using std::runtime_error::runtime_error;
};

class Graph {
 public:
  // Records what `work` sends to the device's streams, without running it. All memory it uses must stay where it is as
  // long as the graph is replayed, and `work` must neither allocate device memory nor copy from or to the host. Throws
  // NoMemoryForGraph where there is no room for it: the work has not been done, and can be done without a graph.
  Graph(Device& device, const std::function<void()>& work);
  ~Graph();
  Graph(const Graph&) = delete;

  void replay();  // in the order of Device::stream()
  size_t nodes() const;

 private:
  struct Recorded;
  Device& device_;
  std::unique_ptr<Recorded> recorded_;
};

}  // namespace warpbert
