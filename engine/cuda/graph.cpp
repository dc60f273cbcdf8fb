#include "engine/graph.h"

#include <string>

#include "check.h"

namespace warpbert {

struct Graph::Captured {
  Handle<cudaGraph_t, cudaGraphDestroy> graph;
  Handle<cudaGraphExec_t, cudaGraphExecDestroy> executable;
  cudaStream_t stream = nullptr;
};

Graph::Graph(Device& device, const std::function<void()>& work) : captured_(std::make_unique<Captured>()) {
  captured_->stream = device.stream();
  check(cudaStreamBeginCapture(device.stream(), cudaStreamCaptureModeThreadLocal), "cudaStreamBeginCapture");
  try {
    device.fork();  // captures the side stream, even if unused
    work();
    device.join();  // all branches must rejoin the origin stream
  } catch (...) {
    try {
      device.join();
    } catch (const std::runtime_error&) {  // the capture is already invalid
    }
    cudaStreamEndCapture(device.stream(), &captured_->graph.value);
    cudaGetLastError();  // clear: the first error is the one to report
    throw;
  }
  check(cudaStreamEndCapture(device.stream(), &captured_->graph.value), "cudaStreamEndCapture");
  const cudaError_t e = cudaGraphInstantiate(&captured_->executable.value, captured_->graph.value,
                                             cudaGraphInstantiateFlagUseNodePriority);
  if (e == cudaErrorMemoryAllocation) {
    cudaGetLastError();  // clear: reported here
    throw NoMemoryForGraph("cudaGraphInstantiate: " + std::string(cudaGetErrorString(e)));
  }
  check(e, "cudaGraphInstantiate");
}

void Graph::launch() {
  check(cudaGraphLaunch(captured_->executable.value, captured_->stream), "cudaGraphLaunch");
}

size_t Graph::nodes() const {
  size_t n = 0;
  check(cudaGraphGetNodes(captured_->graph.value, nullptr, &n), "cudaGraphGetNodes");
  return n;
}

Graph::~Graph() = default;

}  // namespace warpbert
