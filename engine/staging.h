// Host buffers are page-locked on a GPU, because copies from pageable memory may block on the stream.
#pragma once
#include <array>
#include <cstddef>
#include <memory>
#include <utility>

#include "kernels/kernels.h"

namespace warpbert {

class Copier {
 public:
  virtual ~Copier() = default;
  virtual char* allocate(size_t bytes) = 0;  // null when out of memory
  virtual void free(char* host) = 0;
  virtual void copy(int buffer, void* device, const char* host, size_t bytes) = 0;
  virtual void wait(int buffer) = 0;  // blocks until the buffer's last copy is done
};

// Stream-ordered. The simulator copies at once.
std::unique_ptr<Copier> stream_copier(kernels::Stream stream);

class Staging {
 public:
  static constexpr int buffers = 4;

  explicit Staging(std::unique_ptr<Copier> copier) : copier_(std::move(copier)) {}
  ~Staging();
  Staging(const Staging&) = delete;

  // Next buffer, at least `bytes`, valid until the next call. Blocks until its last copy is done. Throws
  // std::runtime_error when out of memory.
  char* next(size_t bytes);
  // Copies from that buffer. Not during stream capture.
  void send(void* device, size_t bytes) {
    copier_->copy(current_, device, ring_[size_t(current_)].host, bytes);
  }

 private:
  struct Buffer {
    char* host = nullptr;
    size_t size = 0;
  };
  std::unique_ptr<Copier> copier_;
  std::array<Buffer, buffers> ring_;
  int current_ = buffers - 1;
};

}  // namespace warpbert
