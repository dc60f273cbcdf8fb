// Runs recurring work as CUDA graphs.
//
// The first use of a slot runs kernel by kernel: whatever allocates memory or chooses an algorithm does so
// then, outside of a stream capture. The second use captures the work as a graph, and launches it; so do all
// later ones. The bits are the same either way.
#pragma once
#include <cstddef>
#include <functional>
#include <memory>

#include "graph.h"

namespace warpbert {

// Work on buffers that stay where they are. The owner keeps one slot for each shape of the work.
struct GraphSlot {
  long uses = 0;
  std::unique_ptr<Graph> graph;
};

class GraphCache {
 public:
  explicit GraphCache(Device& device) : device_(device) {}

  void enable(bool on) { enabled_ = on; }
  // At most this many graphs are captured, and fewer where the device has no memory for one more. Slots
  // beyond the limit run kernel by kernel.
  void limit(size_t most) { most_ = most; }
  size_t captured() const { return captured_; }

  // Sends `work` to the device's streams, as a graph where it can.
  void submit(GraphSlot& slot, const std::function<void()>& work);
  // True once the slot runs as fast as it can.
  bool is_warm(const GraphSlot& slot) const { return slot.uses > (enabled_ ? 1 : 0); }

 private:
  Device& device_;
  bool enabled_ = true;
  size_t most_ = 256, captured_ = 0;
};

}  // namespace warpbert
