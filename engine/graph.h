// CUDA graph on a GPU; the simulator runs nodes in any order their edges allow (simt/cpu/stream.h).
#pragma once
#include <cstddef>
#include <functional>
#include <memory>
#include <stdexcept>

#include "device.h"

namespace warpbert {

// A graph of hundreds of kernels takes 1 MB or more of device memory.
struct NoMemoryForGraph : std::runtime_error {
  using std::runtime_error::runtime_error;
};

class Graph {
 public:
  // Captures the work sent to the device's streams, without running it. Its memory must stay valid; `work`
  // must not allocate device memory or copy from or to the host. Throws NoMemoryForGraph; `work` can then
  // run uncaptured.
  Graph(Device& device, const std::function<void()>& work);
  ~Graph();
  Graph(const Graph&) = delete;

  void launch();  // on Device::stream()
  size_t nodes() const;

 private:
  struct Captured;
  std::unique_ptr<Captured> captured_;
};

}  // namespace warpbert
