// A ring of buffers in host memory that the device copies from while the host goes on. On a GPU they are page-locked:
// from other memory a copy would first be copied by the driver, and might wait for the stream.
#pragma once
#include <array>
#include <cstddef>
#include <memory>
#include <utility>

#include "kernels/kernels.h"

namespace warpbert {

// Copies that may run later, each from one of a few buffers.
class Copier {
 public:
  virtual ~Copier() = default;
  virtual char* allocate(size_t bytes) = 0;  // null when there is no more
  virtual void free(char* host) = 0;
  virtual void copy(int buffer, void* device, const char* host, size_t bytes) = 0;
  virtual void wait(int buffer) = 0;  // until the last copy from it is over; at once if there was none
};

// Copies in the order of a stream, each followed by an event. The simulator's are over when they return.
std::unique_ptr<Copier> stream_copier(kernels::Stream stream);

class Staging {
 public:
  static constexpr int buffers = 4;

  explicit Staging(std::unique_ptr<Copier> copier) : copier_(std::move(copier)) {}
  ~Staging();
  Staging(const Staging&) = delete;

  // The next buffer, of at least `bytes`, to be filled: waits until the copy that was sent from it last is over. Valid
  // until the next call. Throws std::runtime_error when there is no more memory.
  char* next(size_t bytes);
  // Copies the first `bytes` of it. Not within a recording of a graph.
  void send(void* device, size_t bytes) { copier_->copy(current_, device, ring_[size_t(current_)].host, bytes); }

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
