#include "engine/graph.h"

#include "simt/cpu/stream.h"

namespace warpbert {

struct Graph::Recorded : simt::Graph {};

Graph::Graph(Device& device, const std::function<void()>& work)
    : device_(device), recorded_(std::make_unique<Recorded>()) {
  struct Recording {
    CUstream_st &main, &side;
    Recording(Device& d, simt::Graph* graph) : main(*d.stream()), side(*d.side_stream()) {
      main.graph = graph;
    }
    ~Recording() {
      main.graph = side.graph = nullptr;
      main.after.clear(), side.after.clear();
    }
  } recording(device, recorded_.get());
  device.fork();
  work();
  device.join();
}

void Graph::replay() { recorded_->replay(); }
size_t Graph::nodes() const { return recorded_->nodes.size(); }

Graph::~Graph() = default;

}  // namespace warpbert
