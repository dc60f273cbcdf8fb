// Tests the strictness of the fake CUDA runtime: errors that a GPU may tolerate for years fail at once.
#include <cuda_runtime.h>
#include <doctest/doctest.h>

#include <sys/wait.h>
#include <unistd.h>
#include <atomic>
#include <csignal>
#include <cstdlib>
#include <thread>
#include <vector>

namespace {

struct Streams {
  cudaStream_t first, second;
  cudaEvent_t event;
  int *x, *y;
  Streams() {
    REQUIRE(cudaStreamCreateWithPriority(&first, cudaStreamNonBlocking, 0) == cudaSuccess);
    REQUIRE(cudaStreamCreateWithPriority(&second, cudaStreamNonBlocking, 0) == cudaSuccess);
    REQUIRE(cudaEventCreateWithFlags(&event, cudaEventDisableTiming) == cudaSuccess);
    REQUIRE(cudaMalloc(reinterpret_cast<void**>(&x), sizeof(int)) == cudaSuccess);
    REQUIRE(cudaMalloc(reinterpret_cast<void**>(&y), sizeof(int)) == cudaSuccess);
  }
  ~Streams() {
    cudaFree(x), cudaFree(y), cudaEventDestroy(event), cudaStreamDestroy(second), cudaStreamDestroy(first);
    cudaGetLastError();
  }
  void follow(cudaStream_t later, cudaStream_t earlier) {
    CHECK(cudaEventRecord(event, earlier) == cudaSuccess);
    CHECK(cudaStreamWaitEvent(later, event) == cudaSuccess);
  }
  void set(cudaStream_t stream, int* p, int byte) {
    CHECK(cudaMemsetAsync(p, byte, sizeof(int), stream) == cudaSuccess);
  }
  int read(const int* p, cudaStream_t stream) {
    int value = 0;
    CHECK(cudaMemcpyAsync(&value, p, sizeof value, cudaMemcpyDeviceToHost, stream) == cudaSuccess);
    return value;
  }
};

// Runs `work` in a child process; returns the signal that ended it, or 0.
template <class Work>
int signal_of(const Work& work) {
  const pid_t child = fork();
  if (!child) {
    for (const int s : {SIGSEGV, SIGABRT}) std::signal(s, SIG_DFL);
    work();
    _exit(0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

}  // namespace

// nvcc's code calls this for each kernel.
extern "C" void __cudaRegisterFunction(void**, const char* host, char* device, const char* name, int, uint3*,
                                       uint3*, dim3*, dim3*, int*);

TEST_CASE("memory: not a number at first, no host may touch it, and nothing is written where it ends") {
  Streams s;
  CHECK(s.read(s.x, s.first) == -1);
  volatile int value = 0;
  CHECK(signal_of([&] { value = *s.x; }) == SIGSEGV);
  CHECK(signal_of([&] { value = 1; }) == 0);
  CHECK(cudaMemsetAsync(s.x, 0, 2 * sizeof(int), s.first) == cudaErrorInvalidValue);
  CHECK(cudaMemsetAsync(nullptr, 0, sizeof(int), s.first) == cudaErrorInvalidValue);
  CHECK(cudaMemsetAsync(nullptr, 0, 0, s.first) == cudaSuccess);
}

TEST_CASE("streams: work waits for the host, and streams wait for nobody who was not named") {
  Streams s;
  int* pinned;
  REQUIRE(cudaHostAlloc(reinterpret_cast<void**>(&pinned), sizeof(int), cudaHostAllocDefault) == cudaSuccess);
  *pinned = 5;
  s.set(s.first, s.x, 0);
  s.read(s.x, s.first);  // completes pending work
  CHECK(cudaMemcpyAsync(s.x, pinned, sizeof(int), cudaMemcpyHostToDevice, s.first) == cudaSuccess);
  CHECK(s.read(s.x, s.second) == 0);  // does not wait for the copy
  *pinned = 6;                        // too early
  s.follow(s.second, s.first);
  CHECK(s.read(s.x, s.second) == 6);

  int pageable = 7;
  CHECK(cudaMemcpyAsync(s.x, &pageable, sizeof(int), cudaMemcpyHostToDevice, s.first) == cudaSuccess);
  pageable = 8;
  CHECK(s.read(s.x, s.first) == 7);

  CHECK(cudaMemcpyAsync(pinned, s.x, sizeof(int), cudaMemcpyDeviceToHost, s.first) == cudaSuccess);
  CHECK(*pinned == 6);
  CHECK(cudaStreamSynchronize(nullptr) == cudaSuccess);  // the default stream does not wait for the others
  CHECK(*pinned == 6);
  CHECK(cudaEventRecord(s.event, s.first) == cudaSuccess);
  CHECK(cudaEventSynchronize(s.event) == cudaSuccess);
  CHECK(*pinned == 7);
  CHECK(cudaFreeHost(pinned) == cudaSuccess);
}

TEST_CASE("graphs: captured across streams, launched as a whole") {
  Streams s;
  CHECK(cudaStreamBeginCapture(s.first, cudaStreamCaptureModeThreadLocal) == cudaSuccess);
  s.set(s.first, s.x, 1);
  s.follow(s.second, s.first);
  CHECK(cudaMemcpyAsync(s.y, s.x, sizeof(int), cudaMemcpyDeviceToDevice, s.second) == cudaSuccess);
  s.follow(s.first, s.second);
  cudaGraph_t graph;
  REQUIRE(cudaStreamEndCapture(s.first, &graph) == cudaSuccess);
  size_t nodes = 0;
  CHECK(cudaGraphGetNodes(graph, nullptr, &nodes) == cudaSuccess);
  CHECK(nodes == 2);
  CHECK(s.read(s.y, s.second) == -1);
  cudaGraphExec_t executable;
  REQUIRE(cudaGraphInstantiate(&executable, graph, 0) == cudaSuccess);
  CHECK(cudaGraphLaunch(executable, s.first) == cudaSuccess);
  CHECK(s.read(s.y, s.second) == -1);
  CHECK(s.read(s.y, s.first) == 0x01010101);
  CHECK(cudaGraphExecDestroy(executable) == cudaSuccess);
  CHECK(cudaGraphDestroy(graph) == cudaSuccess);
}

TEST_CASE("graphs: unsupported calls invalidate a capture") {
  Streams s;
  void* p;
  int host = 0;
  const auto error_of = [&](auto work) {
    REQUIRE(cudaStreamBeginCapture(s.first, cudaStreamCaptureModeThreadLocal) == cudaSuccess);
    const cudaError_t e = work();
    cudaGraph_t graph = nullptr;
    const cudaError_t end = cudaStreamEndCapture(s.first, &graph);
    CHECK(end == (e ? cudaErrorStreamCaptureInvalidated : cudaSuccess));
    CHECK((graph == nullptr) == bool(e));
    if (graph) cudaGraphDestroy(graph);
    return e;
  };
  CHECK(error_of([&] { return cudaMemsetAsync(s.x, 0, sizeof(int), s.first); }) == cudaSuccess);
  CHECK(error_of([&] { return cudaMalloc(&p, 8); }) == cudaErrorStreamCaptureUnsupported);
  CHECK(error_of([&] { return cudaFree(s.x); }) == cudaErrorStreamCaptureUnsupported);
  CHECK(error_of([&] { return cudaDeviceSynchronize(); }) == cudaErrorStreamCaptureUnsupported);
  CHECK(error_of([&] { return cudaStreamSynchronize(s.first); }) == cudaErrorStreamCaptureUnsupported);
  CHECK(error_of([&] { return cudaMemcpyAsync(s.x, &host, 4, cudaMemcpyHostToDevice, s.first); }) ==
        cudaErrorStreamCaptureUnsupported);
  CHECK(error_of([&] {  // the second stream is not capturing
          CHECK(cudaEventRecord(s.event, s.second) == cudaSuccess);
          return cudaStreamWaitEvent(s.first, s.event);
        }) == cudaErrorStreamCaptureIsolation);
  CHECK(error_of([&] {
          CHECK(cudaEventRecord(s.event, s.first) == cudaSuccess);
          return cudaEventSynchronize(s.event);
        }) == cudaErrorCapturedEvent);

  REQUIRE(cudaStreamBeginCapture(s.first, cudaStreamCaptureModeThreadLocal) == cudaSuccess);
  s.follow(s.second, s.first);
  s.set(s.second, s.x, 1);
  s.follow(s.first, s.second);
  s.set(s.second, s.x, 2);  // not joined
  cudaGraph_t graph;
  CHECK(cudaStreamEndCapture(s.first, &graph) == cudaErrorStreamCaptureUnjoined);
  CHECK(s.read(s.x, s.second) == -1);  // both streams still work
}

// The address of `host` acts as this kernel.
static void name_kernel(const char& host, const char* name) {
  __cudaRegisterFunction(nullptr, &host, nullptr, name, -1, nullptr, nullptr, nullptr, nullptr, nullptr);
}
static const char* const swap_name = "_ZN8warpbert7kernels11swap_kernelEPfS1_m";

TEST_CASE("streams: a thread launches while another one waits") {
  Streams s, other;
  static const char swap = 0;
  name_kernel(swap, swap_name);
  size_t n = 1;
  void* arguments[] = {&s.x, &s.y, &n};
  s.set(s.first, s.x, 1), s.set(s.first, s.y, 2);
  std::atomic<bool> ends = false;
  std::thread waits([&] {
    while (!ends) cudaMemsetAsync(other.x, 0, sizeof(int), other.first), cudaStreamSynchronize(other.first);
  });
  int failed = 0;
  for (int i = 0; i < 2001; i++) {
    cudaLaunchConfig_t config = {};
    config.gridDim = 1, config.blockDim = 32, config.stream = s.first;
    failed += cudaLaunchKernelExC(&config, &swap, arguments) != cudaSuccess;
    if (i % 100 == 0) cudaStreamSynchronize(s.first);
  }
  ends = true;
  waits.join();
  CHECK(failed == 0);
  CHECK(s.read(s.x, s.first) == 0x02020202);
}

TEST_CASE("launches: what a GPU refuses is refused, with its error") {
  Streams s;
  static const char swap = 0, unknown = 0, unregistered = 0;
  name_kernel(swap, swap_name);
  name_kernel(unknown, "_Z9no_kernelv");
  size_t n = 1;
  void* arguments[] = {&s.x, &s.y, &n};
  const auto launch = [&](const char& kernel, dim3 grid, dim3 block, size_t shared) {
    cudaLaunchConfig_t config = {};
    config.gridDim = grid, config.blockDim = block, config.dynamicSmemBytes = shared, config.stream = s.first;
    return cudaLaunchKernelExC(&config, &kernel, arguments);
  };
  s.set(s.first, s.x, 1), s.set(s.first, s.y, 2);
  CHECK(launch(swap, 1, 256, 0) == cudaSuccess);
  CHECK(s.read(s.x, s.first) == 0x02020202);
  CHECK(launch(unregistered, 1, 256, 0) == cudaErrorInvalidDeviceFunction);
  CHECK(launch(unknown, 1, 256, 0) == cudaErrorInvalidDeviceFunction);
  CHECK(launch(swap, 1, 288, 0) == cudaErrorInvalidConfiguration);  // launch bounds: 256
  CHECK(launch(swap, 0, 256, 0) == cudaErrorInvalidConfiguration);
  CHECK(launch(swap, dim3(1, 65536), 256, 0) == cudaErrorInvalidConfiguration);
  CHECK(launch(swap, 1, dim3(1, 1, 65), 0) == cudaErrorInvalidConfiguration);
  CHECK(launch(swap, 1, 256, 50000) == cudaErrorInvalidValue);  // more than 48 KB must be requested
  const auto ask = [&](int bytes) {
    return cudaFuncSetAttribute(&swap, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes);
  };
  CHECK(ask(100 << 10) == cudaErrorInvalidValue);  // beyond sm_86's limit
  CHECK(ask(50000) == cudaSuccess);
  CHECK(launch(swap, 1, 256, 50000) == cudaSuccess);
  CHECK(launch(swap, 1, 256, 50001) == cudaErrorInvalidValue);

  REQUIRE(cudaStreamBeginCapture(s.first, cudaStreamCaptureModeThreadLocal) == cudaSuccess);
  CHECK(cudaDeviceSynchronize() == cudaErrorStreamCaptureUnsupported);
  CHECK(launch(swap, 1, 256, 0) == cudaErrorStreamCaptureInvalidated);
  cudaGraph_t graph;
  CHECK(cudaStreamEndCapture(s.first, &graph) == cudaErrorStreamCaptureInvalidated);
}
