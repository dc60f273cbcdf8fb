#include "engine/staging.h"

#include <array>
#include <memory>

#include "check.h"

namespace warpbert {

namespace {

class StreamCopier : public Copier {
 public:
  explicit StreamCopier(kernels::Stream stream) : stream_(stream) {
    for (Event& e : sent_)
      check(cudaEventCreateWithFlags(&e.value, cudaEventDisableTiming), "cudaEventCreate");
  }
  char* allocate(size_t bytes) override {
    void* p = nullptr;
    if (cudaHostAlloc(&p, bytes, cudaHostAllocDefault) == cudaSuccess) return static_cast<char*>(p);
    cudaGetLastError();  // clear: the caller reports it
    return nullptr;
  }
  void free(char* host) override { cudaFreeHost(host); }
  void copy(int buffer, void* device, const char* host, size_t bytes) override {
    check(cudaMemcpyAsync(device, host, bytes, cudaMemcpyHostToDevice, stream_), "copy to the GPU");
    check(cudaEventRecord(sent_[size_t(buffer)].value, stream_), "cudaEventRecord");
  }
  void wait(int buffer) override {
    check(cudaEventSynchronize(sent_[size_t(buffer)].value), "waiting for a copy to the GPU");
  }

 private:
  kernels::Stream stream_;
  std::array<Event, Staging::buffers> sent_;
};

}  // namespace

std::unique_ptr<Copier> stream_copier(kernels::Stream stream) {
  return std::make_unique<StreamCopier>(stream);
}

}  // namespace warpbert
