// Device work captured once and launched as a whole. A kernel launch costs the host microseconds and the
// device a gap; a graph of hundreds of kernels is one launch, and its branches run concurrently.
//
// CUDA graph on a GPU. The simulator runs nodes in any order their edges allow (simt/cpu/stream.h).
#pragma once
#include <cstddef>
#include <functional>
#include <memory>
#include <stdexcept>

#include "device.h"

namespace warpbert {

// Out of device memory: by the driver's account a graph of hundreds of kernels takes 1 MB or more.
struct NoMemoryForGraph : std::runtime_error {
  using std::runtime_error::runtime_error;
};

class Graph {
 public:
  // Captures what `work` sends to the device's streams, without running it. Its memory must stay valid while
  // the graph is in use; `work` must not allocate device memory or copy from or to the host. Throws
  // NoMemoryForGraph; `work` can then run uncaptured.
  Graph(Device& device, const std::function<void()>& work);
  ~Graph();
  Graph(const Graph&) = delete;

  void launch();  // launches on Device::stream()
  size_t nodes() const;

 private:
  struct Captured;
  std::unique_ptr<Captured> captured_;
};

}  // namespace warpbert
