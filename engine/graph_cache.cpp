#include "graph_cache.h"

#include <fmt/format.h>

#include <cstdio>

namespace warpbert {

void GraphCache::submit(GraphSlot& slot, const std::function<void()>& work) {
  if (slot.uses++ == 0 || !enabled_) return work();
  if (!slot.graph) {
    if (captured_ >= most_) return work();
    try {
      slot.graph = std::make_unique<Graph>(device_, work);
      captured_++;
    } catch (const NoMemoryForGraph&) {
      most_ = captured_;
      fmt::print(
          stderr,
          "warning: the device has memory for {} CUDA graphs; other steps launch kernel by kernel, slower "
          "and with the same bits\n",
          most_);
      return work();
    }
  }
  slot.graph->launch();
}

}  // namespace warpbert
