#include "engine/graph.h"

#include "simt/cpu/stream.h"

namespace warpbert {

struct Graph::Captured : simt::Graph {};

Graph::Graph(Device& device, const std::function<void()>& work) : captured_(std::make_unique<Captured>()) {
  struct Capture {
    Device& device;
    Capture(Device& d, simt::Graph* graph) : device(d) { d.stream()->graph = graph; }
    ~Capture() {
      for (CUstream_st* stream : {device.stream(), device.side_stream(), device.exchange_stream()})
        stream->graph = nullptr, stream->after.clear();
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
