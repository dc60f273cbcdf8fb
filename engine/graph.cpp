#include "graph.h"

#ifdef WARPBERT_CUDA
#include "cuda_check.h"
#else
#include "kernels/simt_stream.h"
#endif

namespace warpbert {

#ifdef WARPBERT_CUDA

struct Graph::Recorded {
  cudaGraph_t graph = nullptr;
  cudaGraphExec_t executable = nullptr;
  ~Recorded() {
    if (executable) cudaGraphExecDestroy(executable);
    if (graph) cudaGraphDestroy(graph);
  }
};

Graph::Graph(Device& device, const std::function<void()>& work)
    : device_(device), recorded_(std::make_unique<Recorded>()) {
  check(cudaStreamBeginCapture(device.stream(), cudaStreamCaptureModeThreadLocal), "cudaStreamBeginCapture");
  try {
    device.fork();  // the side stream belongs to the recording, also where the work never uses it
    work();
    device.join();  // every branch must end in the stream that was begun with
  } catch (...) {
    try {
      device.join();
    } catch (const std::runtime_error&) {  // the recording is invalid already
    }
    cudaStreamEndCapture(device.stream(), &recorded_->graph);
    cudaGetLastError();  // forget it: the first failure is the one to report
    throw;
  }
  check(cudaStreamEndCapture(device.stream(), &recorded_->graph), "cudaStreamEndCapture");
  const cudaError_t e =
      cudaGraphInstantiate(&recorded_->executable, recorded_->graph, cudaGraphInstantiateFlagUseNodePriority);
  if (e == cudaErrorMemoryAllocation) {
    cudaGetLastError();  // it is told of here
    throw NoMemoryForGraph("cudaGraphInstantiate: " + std::string(cudaGetErrorString(e)));
  }
  check(e, "cudaGraphInstantiate");
}

void Graph::replay() { check(cudaGraphLaunch(recorded_->executable, device_.stream()), "cudaGraphLaunch"); }

size_t Graph::nodes() const {
  size_t n = 0;
  check(cudaGraphGetNodes(recorded_->graph, nullptr, &n), "cudaGraphGetNodes");
  return n;
}

#else

struct Graph::Recorded : simt::Graph {};

Graph::Graph(Device& device, const std::function<void()>& work)
    : device_(device), recorded_(std::make_unique<Recorded>()) {
  struct Recording {
    CUstream_st &main, &side;
    Recording(Device& d, simt::Graph* graph) : main(*d.stream()), side(*d.side_stream()) { main.graph = graph; }
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

#endif

Graph::~Graph() = default;

}  // namespace warpbert
