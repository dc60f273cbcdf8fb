// Runs recurring work as CUDA graphs, with the same bits. A slot's first use runs kernel by kernel, so memory
// and algorithms are ready; the second captures, and launches the graph, as do later ones.
#pragma once
#include <cstddef>
#include <functional>
#include <memory>

#include "graph.h"

namespace warpbert {

// Work on buffers that stay in place; one slot for each shape.
struct GraphSlot {
  long uses = 0;
  std::unique_ptr<Graph> graph;
};

class GraphCache {
 public:
  explicit GraphCache(Device& device) : device_(device) {}

  void enable(bool on) { enabled_ = on; }
  // Captures at most this many graphs, fewer when out of device memory. Other slots run kernel by kernel.
  void limit(size_t most) { most_ = most; }
  size_t captured() const { return captured_; }

  void submit(GraphSlot& slot, const std::function<void()>& work);
  // True once the slot runs as fast as it can.
  bool is_warm(const GraphSlot& slot) const { return slot.uses > (enabled_ ? 1 : 0); }

 private:
  Device& device_;
  bool enabled_ = true;
  size_t most_ = 256, captured_ = 0;
};

}  // namespace warpbert
