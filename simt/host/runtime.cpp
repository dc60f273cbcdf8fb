// Fake CUDA runtime over the simulator's streams (../README.md, "Preset cuda without a GPU"): devices,
// streams, events, graphs. Functions not defined here are libcudart's, which finds no GPU.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <numeric>
#include <optional>
#include <set>
#include <thread>
#include <utility>
#include <vector>

#include "runtime.h"

struct CUevent_st {
  bool timed = false;
  unsigned number = 0;  // of the graph (below) it was captured in; 0: none
  CUstream_st* stream = nullptr;
  std::vector<int> after;  // nodes of that graph
  std::shared_ptr<std::chrono::steady_clock::time_point> time;
};
struct CUgraph_st : simt::Graph {};
struct CUgraphExec_st {
  std::shared_ptr<simt::Graph> graph;  // shared with pending launches
};

using namespace runtime;

namespace {

thread_local cudaError_t last_error = cudaSuccess;

// Pending work of all streams, numbered like captures. Once all has run, it is cleared and renumbered: old
// numbers mean nothing to wait for.
simt::Graph sent;
unsigned sent_number = 1, last_number = 1;
std::set<CUstream_st*> streams;

struct Capture {
  simt::Graph graph;
  unsigned number = 0;
  std::thread::id thread = std::this_thread::get_id();
  CUstream_st* origin = nullptr;
  cudaError_t error = cudaSuccess;  // why it was invalidated
  struct Member {
    std::vector<int> sent_after;                 // dependencies to restore after the capture
    std::optional<std::vector<int>> waited_for;  // nodes of this stream that another stream waits for
  };
  std::map<CUstream_st*, Member> members;
};
std::unique_ptr<Capture> capture;

std::vector<bool> ran;

// Order of independent streams: random, unless SIMT_ORDER is set.
simt::OrderAndSeed order_of_streams() {
  const simt::OrderAndSeed current = simt::current_order();
  return {std::getenv("SIMT_ORDER") ? current.order : simt::Order::random, current.seed};
}

int number_from(const char* variable, int otherwise) {
  const char* const text = std::getenv(variable);
  return text ? std::atoi(text) : otherwise;
}

}  // namespace

namespace runtime {

std::recursive_mutex mutex;

cudaError_t result(cudaError_t e) {
  if (e != cudaSuccess) last_error = e;
  return e;
}
cudaError_t invalidate(cudaError_t e) {
  if (capture && !capture->error) capture->error = e;
  return result(e);
}
bool is_captured(const CUstream_st* stream) { return capture && stream && stream->graph == &capture->graph; }
cudaError_t forbidden_in_capture() {
  const bool forbidden = capture && capture->thread == std::this_thread::get_id();
  return forbidden ? invalidate(cudaErrorStreamCaptureUnsupported) : cudaSuccess;
}
cudaError_t invalidated(const CUstream_st* stream) {
  return is_captured(stream) && capture->error ? result(cudaErrorStreamCaptureInvalidated) : cudaSuccess;
}

void run_all_before(std::vector<int> last) {
  ran.resize(sent.nodes.size());
  std::vector<int> wanted;
  std::vector<bool> seen = ran;
  while (!last.empty()) {
    const int node = last.back();
    last.pop_back();
    if (seen[size_t(node)]) continue;
    seen[size_t(node)] = true;
    wanted.push_back(node);
    last.insert(last.end(), sent.nodes[size_t(node)].after.begin(), sent.nodes[size_t(node)].after.end());
  }
  if (!wanted.empty()) {
    std::sort(wanted.begin(), wanted.end());
    simt::Graph now;
    std::map<int, int> place;
    for (const int node : wanted) {
      std::vector<int> after;
      for (const int before : sent.nodes[size_t(node)].after)
        if (const auto found = place.find(before); found != place.end()) after.push_back(found->second);
      place[node] = int(now.nodes.size());
      now.nodes.push_back({std::move(sent.nodes[size_t(node)].run), after});
      ran[size_t(node)] = true;
    }
    static unsigned runs = 0;
    now.launches = runs++;
    const OpenMemory open;
    now.launch(order_of_streams());
  }
  if (std::all_of(ran.begin(), ran.end(), [](bool b) { return b; })) {
    sent.nodes.clear(), ran.clear();
    for (CUstream_st* s : streams)
      if (is_captured(s)) capture->members[s].sent_after.clear();
      else s->after.clear();
    sent_number = ++last_number;
  }
}

void run_everything() {
  std::vector<int> all(sent.nodes.size());
  std::iota(all.begin(), all.end(), 0);
  run_all_before(all);
}

}  // namespace runtime

bool is_invalidated(cudaStream_t stream) {
  const Lock lock(mutex);
  return is_captured(stream) && capture->error;
}

void send(cudaStream_t stream, std::function<void()> work) {
  const Lock lock(mutex);
  if (stream) return simt::enqueue(stream, std::move(work));
  const OpenMemory open;
  work();
}

extern "C" {

// ---- Device ------------------------------------------------------------------------------------
// CUDA_ON_CPU_DRIVER=12040: the driver is for CUDA 12.4.
cudaError_t cudaDriverGetVersion(int* version) {
  return *version = number_from("CUDA_ON_CPU_DRIVER", CUDART_VERSION), cudaSuccess;
}
cudaError_t cudaGetDeviceCount(int* n) {
  int driver = 0;
  cudaDriverGetVersion(&driver);
  if (driver / 1000 < CUDART_VERSION / 1000) return *n = 0, result(cudaErrorInsufficientDriver);
  // CUDA_ON_CPU_DEVICES=n: there are n, all alike; a process uses one.
  return *n = number_from("CUDA_ON_CPU_DEVICES", 1), cudaSuccess;
}
static int current_device = 0;
cudaError_t cudaGetDevice(int* device) { return *device = current_device, cudaSuccess; }
cudaError_t cudaSetDevice(int device) {
  int n = 0;
  if (cudaGetDeviceCount(&n) || device < 0 || device >= n) return result(cudaErrorInvalidDevice);
  return current_device = device, cudaSuccess;
}
cudaError_t cudaDeviceGetPCIBusId(char* text, int room, int device) {
  return std::snprintf(text, size_t(room), "0000:%02x:00.0", unsigned(device)), cudaSuccess;
}
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* p, int) {
  *p = {};
  std::strcpy(p->name, "simulator as a CUDA runtime");
  p->major = 9;
  return cudaSuccess;
}
cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int) {
  if (attribute != cudaDevAttrL2CacheSize) return result(cudaErrorInvalidValue);
  return *value = 1 << 20, cudaSuccess;
}
cudaError_t cudaDeviceGetStreamPriorityRange(int* lowest, int* highest) {
  return *lowest = 0, *highest = -5, cudaSuccess;
}
cudaError_t cudaGetLastError() { return std::exchange(last_error, cudaSuccess); }
cudaError_t cudaDeviceSynchronize() {
  const Lock lock(mutex);
  if (const cudaError_t e = forbidden_in_capture()) return e;
  run_everything();
  return cudaSuccess;
}
cudaError_t cudaProfilerStart() { return cudaSuccess; }
cudaError_t cudaProfilerStop() { return cudaSuccess; }

// ---- Streams and events ------------------------------------------------------------------------
cudaError_t cudaStreamCreateWithPriority(cudaStream_t* stream, unsigned flags, int) {
  const Lock lock(mutex);
  if (flags != cudaStreamNonBlocking) return result(cudaErrorInvalidValue);  // others follow stream 0
  *stream = new CUstream_st;
  (*stream)->graph = &sent;
  streams.insert(*stream);
  return cudaSuccess;
}
cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  const Lock lock(mutex);
  if (!streams.count(stream)) return result(cudaErrorInvalidResourceHandle);
  if (const cudaError_t e = forbidden_in_capture()) return e;
  streams.erase(stream);  // its pending work still runs
  delete stream;
  return cudaSuccess;
}
cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  const Lock lock(mutex);
  if (const cudaError_t e = forbidden_in_capture()) return e;
  if (stream) run_all_before(stream->after);  // the default stream ran its work at once
  return cudaSuccess;
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned flags) {
  *event = new CUevent_st;
  (*event)->timed = !(flags & cudaEventDisableTiming);
  return cudaSuccess;
}
cudaError_t cudaEventCreate(cudaEvent_t* event) { return cudaEventCreateWithFlags(event, cudaEventDefault); }
cudaError_t cudaEventDestroy(cudaEvent_t event) { return delete event, cudaSuccess; }
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  const Lock lock(mutex);
  if (!streams.count(stream)) return result(cudaErrorInvalidResourceHandle);
  if (const cudaError_t e = invalidated(stream)) return e;
  const bool captured = is_captured(stream);
  if (event->timed && !captured) {
    event->time = std::make_shared<std::chrono::steady_clock::time_point>();
    send(stream, [time = event->time] { *time = std::chrono::steady_clock::now(); });
  }
  event->number = captured ? capture->number : sent_number;
  event->stream = stream;
  event->after = stream->after;
  return cudaSuccess;
}
cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned) {
  const Lock lock(mutex);
  if (!streams.count(stream)) return result(cudaErrorInvalidResourceHandle);
  if (const cudaError_t e = invalidated(stream)) return e;
  const bool of_capture = capture && event->number == capture->number;
  if (is_captured(stream) && !of_capture) return invalidate(cudaErrorStreamCaptureIsolation);
  if (event->number != sent_number && !of_capture) return cudaSuccess;  // never captured, or done
  if (of_capture && !is_captured(stream)) {                             // joins the capture
    capture->members[stream].sent_after = std::exchange(stream->after, {});
    stream->graph = &capture->graph;
  }
  simt::follow(*stream, event->after);
  if (of_capture && event->stream != stream) capture->members[event->stream].waited_for = event->after;
  return cudaSuccess;
}
cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  const Lock lock(mutex);
  if (capture && event->number == capture->number) return invalidate(cudaErrorCapturedEvent);
  if (const cudaError_t e = forbidden_in_capture()) return e;
  if (event->number == sent_number) run_all_before(event->after);
  return cudaSuccess;
}
cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t begin, cudaEvent_t end) {
  const Lock lock(mutex);
  for (const cudaEvent_t e : {begin, end}) {
    if (!e->time) return result(cudaErrorInvalidResourceHandle);
    if (*e->time == std::chrono::steady_clock::time_point()) return result(cudaErrorNotReady);
  }
  *milliseconds = std::chrono::duration<float, std::milli>(*end->time - *begin->time).count();
  return cudaSuccess;
}

// ---- Graphs ------------------------------------------------------------------------------------
cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode mode) {
  const Lock lock(mutex);
  if (mode != cudaStreamCaptureModeThreadLocal || !streams.count(stream) || capture)
    return result(cudaErrorIllegalState);
  capture = std::make_unique<Capture>();
  capture->number = ++last_number;
  capture->origin = stream;
  capture->members[stream].sent_after = std::exchange(stream->after, {});
  stream->graph = &capture->graph;
  return cudaSuccess;
}
cudaError_t cudaStreamIsCapturing(cudaStream_t stream, cudaStreamCaptureStatus* status) {
  const Lock lock(mutex);
  *status = !is_captured(stream) ? cudaStreamCaptureStatusNone
            : capture->error     ? cudaStreamCaptureStatusInvalidated
                                 : cudaStreamCaptureStatusActive;
  return cudaSuccess;
}
cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
  const Lock lock(mutex);
  *graph = nullptr;
  if (!is_captured(stream) || capture->origin != stream) return result(cudaErrorIllegalState);
  cudaError_t e = capture->error ? cudaErrorStreamCaptureInvalidated : cudaSuccess;
  for (auto& [member, state] : capture->members) {
    if (!e && member != stream && state.waited_for != member->after) e = cudaErrorStreamCaptureUnjoined;
    member->graph = &sent;
    member->after = std::move(state.sent_after);
  }
  if (!e) {
    *graph = new CUgraph_st;
    static_cast<simt::Graph&>(**graph) = std::move(capture->graph);
  }
  capture.reset();
  return result(e);
}
cudaError_t cudaGraphGetNodes(cudaGraph_t graph, cudaGraphNode_t*, size_t* n) {
  return *n = graph->nodes.size(), cudaSuccess;
}
// CUDA_ON_CPU_GRAPHS=n: instantiation n + 1 fails with cudaErrorMemoryAllocation.
cudaError_t cudaGraphInstantiate(cudaGraphExec_t* executable, cudaGraph_t graph, unsigned long long) {
  static std::atomic<int> room = number_from("CUDA_ON_CPU_GRAPHS", -1);
  if (room == 0) return result(cudaErrorMemoryAllocation);
  if (room > 0) room--;
  *executable = new CUgraphExec_st;
  (*executable)->graph = std::make_shared<simt::Graph>(*graph);
  return cudaSuccess;
}
cudaError_t cudaGraphLaunch(cudaGraphExec_t executable, cudaStream_t stream) {
  const Lock lock(mutex);
  if (is_captured(stream)) return invalidate(cudaErrorStreamCaptureUnsupported);
  send(stream, [graph = executable->graph] { graph->launch(order_of_streams()); });
  return cudaSuccess;
}
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t executable) { return delete executable, cudaSuccess; }
cudaError_t cudaGraphDestroy(cudaGraph_t graph) { return delete graph, cudaSuccess; }

}  // extern "C"
