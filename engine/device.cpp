#include "device.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <new>
#include <stdexcept>

#ifdef WARPBERT_CUDA
#include "cuda_check.h"
#else
#include "host_copy_cpu.h"
#include "kernels/simt_pool.h"
#include "kernels/simt_stream.h"
#endif

namespace warpbert {

#ifdef WARPBERT_CUDA

Device::Device(int) {
  const char* hint = "the CPU needs no GPU: build preset cpu (cmake --preset cpu) and run build/cpu/bin";
  int count = 0;
  const cudaError_t e = cudaGetDeviceCount(&count);
  if (e == cudaErrorInsufficientDriver) {
    int driver = 0;  // stays 0 without a driver
    cudaDriverGetVersion(&driver);
    const auto text = [](int version) { return fmt::format("{}.{}", version / 1000, version % 1000 / 10); };
    throw std::runtime_error(fmt::format(
        "no usable GPU: this build needs a driver for CUDA {}, {}; {}", text(CUDART_VERSION),
        driver ? fmt::format("and the installed one is for CUDA {0}: update it, or build with a toolkit of at most {0}",
                             text(driver))
               : "and none is installed",
        hint));
  }
  if (e != cudaSuccess || !count)
    throw std::runtime_error(
        fmt::format("no usable GPU ({}); {}", e == cudaSuccess ? "none found" : cudaGetErrorString(e), hint));
  cudaDeviceProp properties;
  check(cudaGetDeviceProperties(&properties, 0), "cudaGetDeviceProperties");
  if (properties.major < 8)
    throw std::runtime_error(fmt::format("{} is sm_{}{}; these kernels need sm_80 (Ampere) or later; {}",
                                         properties.name, properties.major, properties.minor, hint));
  name_ = fmt::format("{}, sm_{}{}", properties.name, properties.major, properties.minor);
  int lowest = 0, highest = 0;
  check(cudaDeviceGetStreamPriorityRange(&lowest, &highest), "cudaDeviceGetStreamPriorityRange");
  check(cudaStreamCreateWithPriority(&stream_, cudaStreamNonBlocking, highest), "cudaStreamCreate");
  check(cudaStreamCreateWithPriority(&side_, cudaStreamNonBlocking, lowest), "cudaStreamCreate");
  cudaEvent_t event;
  check(cudaEventCreateWithFlags(&event, cudaEventDisableTiming), "cudaEventCreate");
  event_ = event;
  staging_ = std::make_unique<Staging>(stream_copier(stream_));
}

Device::~Device() {
  staging_.reset();
  cudaEventDestroy(static_cast<cudaEvent_t>(event_));
  cudaStreamDestroy(side_);
  cudaStreamDestroy(stream_);
}

static void follow(cudaStream_t later, cudaStream_t earlier, void* event) {
  check(cudaEventRecord(static_cast<cudaEvent_t>(event), earlier), "cudaEventRecord");
  check(cudaStreamWaitEvent(later, static_cast<cudaEvent_t>(event)), "cudaStreamWaitEvent");
}
void Device::fork() { follow(side_, stream_, event_); }
void Device::join() { follow(stream_, side_, event_); }
void Device::synchronize() { check(cudaStreamSynchronize(stream_), "waiting for the GPU"); }

static void* raw_allocate(size_t bytes) {
  void* p = nullptr;
  if (cudaMalloc(&p, bytes) == cudaSuccess) return p;
  cudaGetLastError();  // forget it: the caller reports
  return nullptr;
}
static void raw_free(void* p) { cudaFree(p); }

void Device::upload(void* device, const void* host, size_t bytes) {
  check(cudaMemcpyAsync(device, host, bytes, cudaMemcpyHostToDevice, stream_), "copy to the GPU");
}
void Device::download(void* host, const void* device, size_t bytes) {
  check(cudaMemcpyAsync(host, device, bytes, cudaMemcpyDeviceToHost, stream_), "copy from the GPU");
  synchronize();
}
void Device::fill(void* device, int byte, size_t bytes) {
  check(cudaMemsetAsync(device, byte, bytes, stream_), "cudaMemset");
}

#else

Device::Device(int threads) {
  if (threads > 0) simt::set_workers(threads);
  stream_ = new CUstream_st, side_ = new CUstream_st;
  staging_ = std::make_unique<Staging>(stream_copier(stream_));
  name_ = fmt::format("SIMT simulator, {} worker{}", simt::workers(), simt::workers() == 1 ? "" : "s");
}

Device::~Device() {
  staging_.reset();
  delete stream_;
  delete side_;
}
void Device::fork() { simt::wait(*side_, *stream_); }
void Device::join() { simt::wait(*stream_, *side_); }
void Device::synchronize() {}

static void* raw_allocate(size_t bytes) { return ::operator new(bytes, std::align_val_t(256), std::nothrow); }
static void raw_free(void* p) { ::operator delete(p, std::align_val_t(256)); }

void Device::upload(void* device, const void* host, size_t bytes) {
  copy_outside_of_graphs(stream_, device, host, bytes);
}
void Device::download(void* host, const void* device, size_t bytes) {
  copy_outside_of_graphs(stream_, host, device, bytes);
}
void Device::fill(void* device, int byte, size_t bytes) {
  if (bytes) simt::enqueue(stream_, [=] { std::memset(device, byte, bytes); });
}

#endif

void Device::zero(void* device, size_t bytes) { fill(device, 0, bytes); }

void* Device::allocate(size_t bytes) {
  void* p = raw_allocate(std::max<size_t>(bytes, 1));
  if (!p)
    throw std::runtime_error(fmt::format("out of device memory: {:.1f} MiB more were asked for, {:.1f} MiB are in use",
                                         double(bytes) / 1048576, double(bytes_) / 1048576));
  blocks_.emplace_back(p, bytes);
  bytes_ += bytes, high_water_ = std::max(high_water_, bytes_);
  return p;
}

void Device::free(void* p) {
  const auto block = std::find_if(blocks_.begin(), blocks_.end(), [&](auto& b) { return b.first == p; });
  bytes_ -= block->second;
  blocks_.erase(block);
  raw_free(p);
}

}  // namespace warpbert
