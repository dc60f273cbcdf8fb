#include "staging.h"

#include <fmt/format.h>

#include <exception>
#include <new>
#include <stdexcept>

#ifdef WARPBERT_CUDA
#include "cuda_check.h"
#else
#include "host_copy_cpu.h"
#endif

namespace warpbert {

namespace {

#ifdef WARPBERT_CUDA

class StreamCopier : public Copier {
 public:
  explicit StreamCopier(kernels::Stream stream) : stream_(stream) {
    for (cudaEvent_t& e : sent_) check(cudaEventCreateWithFlags(&e, cudaEventDisableTiming), "cudaEventCreate");
  }
  ~StreamCopier() override {
    for (cudaEvent_t e : sent_) cudaEventDestroy(e);
  }
  char* allocate(size_t bytes) override {
    void* p = nullptr;
    if (cudaHostAlloc(&p, bytes, cudaHostAllocDefault) == cudaSuccess) return static_cast<char*>(p);
    cudaGetLastError();  // forget it: the caller reports
    return nullptr;
  }
  void free(char* host) override { cudaFreeHost(host); }
  void copy(int buffer, void* device, const char* host, size_t bytes) override {
    check(cudaMemcpyAsync(device, host, bytes, cudaMemcpyHostToDevice, stream_), "copy to the GPU");
    check(cudaEventRecord(sent_[size_t(buffer)], stream_), "cudaEventRecord");
  }
  void wait(int buffer) override {
    check(cudaEventSynchronize(sent_[size_t(buffer)]), "waiting for a copy to the GPU");
  }

 private:
  kernels::Stream stream_;
  std::array<cudaEvent_t, Staging::buffers> sent_{};
};

#else

class StreamCopier : public Copier {
 public:
  explicit StreamCopier(kernels::Stream stream) : stream_(stream) {}
  char* allocate(size_t bytes) override { return new (std::nothrow) char[bytes]; }
  void free(char* host) override { delete[] host; }
  void copy(int, void* device, const char* host, size_t bytes) override {
    copy_outside_of_graphs(stream_, device, host, bytes);
  }
  void wait(int) override {}

 private:
  kernels::Stream stream_;
};

#endif

}  // namespace

std::unique_ptr<Copier> stream_copier(kernels::Stream stream) { return std::make_unique<StreamCopier>(stream); }

Staging::~Staging() {
  for (int i = 0; i < buffers; i++) {
    if (!ring_[size_t(i)].host) continue;
    try {
      copier_->wait(i);
    } catch (const std::exception&) {  // who broke the device has said so
    }
    copier_->free(ring_[size_t(i)].host);
  }
}

char* Staging::next(size_t bytes) {
  current_ = (current_ + 1) % buffers;
  Buffer& b = ring_[size_t(current_)];
  copier_->wait(current_);
  if (b.size < bytes) {
    if (b.host) copier_->free(b.host);
    b = {};
    const size_t size = bytes * 5 / 4;
    if (!(b.host = copier_->allocate(size)))
      throw std::runtime_error(fmt::format("out of host memory for copies to the device: {:.1f} MiB were asked for",
                                           double(size) / 1048576));
    b.size = size;
  }
  return b.host;
}

}  // namespace warpbert
