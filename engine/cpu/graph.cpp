#include "engine/graph.h"

#include "simt/cpu/stream.h"

namespace warpbert {

struct Graph::Captured : simt::Graph {};

Graph::Graph(Device& device, const std::function<void()>& work)
    : device_(device), captured_(std::make_unique<Captured>()) {
  struct Capture {
    CUstream_st &main, &side;
    Capture(Device& d, simt::Graph* graph) : main(*d.stream()), side(*d.side_stream()) { main.graph = graph; }
    ~Capture() {
      main.graph = side.graph = nullptr;
      main.after.clear(), side.after.clear();
    }
  } capture(device, captured_.get());
  device.fork();
  work();
  device.join();
}

void Graph::launch() { captured_->launch(); }
size_t Graph::nodes() const { return captured_->nodes.size(); }

Graph::~Graph() = default;

}  // namespace warpbert
