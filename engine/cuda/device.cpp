#include "engine/device.h"

#include <fmt/format.h>

#include <memory>
#include <stdexcept>

#include "check.h"
#include "engine/process_group.h"

namespace warpbert {

bool Device::is_gpu() { return true; }

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
        driver
            ? fmt::format(
                  "and the installed one is for CUDA {0}: update it, or build with a toolkit of at most {0}",
                  text(driver))
            : "and none is installed",
        hint));
  }
  if (e != cudaSuccess || !count)
    throw std::runtime_error(
        fmt::format("no usable GPU ({}); {}", e == cudaSuccess ? "none found" : cudaGetErrorString(e), hint));
  // A launcher may show each process all GPUs of the host, or its own alone.
  const ProcessGroup* const group = ProcessGroup::joined();
  const int number = group ? group->local_rank() % count : 0;
  check(cudaSetDevice(number), "cudaSetDevice");
  cudaDeviceProp properties;
  check(cudaGetDeviceProperties(&properties, number), "cudaGetDeviceProperties");
  if (properties.major < 8)
    throw std::runtime_error(fmt::format("{} is sm_{}{}; these kernels need sm_80 (Ampere) or later; {}",
                                         properties.name, properties.major, properties.minor, hint));
  name_ = fmt::format("{}, sm_{}{}", properties.name, properties.major, properties.minor);
  int lowest = 0, highest = 0;
  check(cudaDeviceGetStreamPriorityRange(&lowest, &highest), "cudaDeviceGetStreamPriorityRange");
  check(cudaStreamCreateWithPriority(&stream_, cudaStreamNonBlocking, highest), "cudaStreamCreate");
  check(cudaStreamCreateWithPriority(&side_, cudaStreamNonBlocking, lowest), "cudaStreamCreate");
  check(cudaStreamCreateWithPriority(&exchange_, cudaStreamNonBlocking, highest), "cudaStreamCreate");
  cudaEvent_t event;
  check(cudaEventCreateWithFlags(&event, cudaEventDisableTiming), "cudaEventCreate");
  event_ = event;
  staging_ = std::make_unique<Staging>(stream_copier(stream_));
}

Device::~Device() {
  staging_.reset();
  cudaEventDestroy(static_cast<cudaEvent_t>(event_));
  cudaStreamDestroy(exchange_);
  cudaStreamDestroy(side_);
  cudaStreamDestroy(stream_);
}

void Device::follow(kernels::Stream later, kernels::Stream earlier) {
  check(cudaEventRecord(static_cast<cudaEvent_t>(event_), earlier), "cudaEventRecord");
  check(cudaStreamWaitEvent(later, static_cast<cudaEvent_t>(event_)), "cudaStreamWaitEvent");
}
void Device::synchronize() { check(cudaStreamSynchronize(stream_), "waiting for the GPU"); }

void* Device::reserve(size_t bytes) {
  void* p = nullptr;
  if (cudaMalloc(&p, bytes) == cudaSuccess) return p;
  cudaGetLastError();  // clear: the caller reports it
  return nullptr;
}
void Device::release(void* p) { cudaFree(p); }

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

}  // namespace warpbert
