// Who wants to know of every launch: for profiles of a run's own kernels, and for tables of launch shapes. With nobody
// there a launch costs one comparison more.
#pragma once
#include <cstddef>
#include <optional>

struct CUstream_st;

namespace simt {

struct Launch {
  const char* signature;  // kernel_name(signature) is the kernel's; of a matrix product it is the name itself
  unsigned grid[3], block[3];
  size_t dynamic_bytes;
  CUstream_st* stream;
  double flops = 0, bytes = 0;  // of a matrix product, whose shape tells; else 0
};

// Called on the thread that launches, around the call that sends the kernel to its stream. The simulator's streams run
// it within that call, unless they are being recorded.
class LaunchObserver {
 public:
  virtual void before(const Launch&) = 0;
  virtual void after(const Launch&) = 0;

 protected:
  ~LaunchObserver() = default;
};

inline LaunchObserver* launch_observer = nullptr;

// Tells the observer, if there is one, of what is sent until the end of the scope: of the Launch that `make` gives,
// which is not called if there is none.
class Observed {
 public:
  template <class Make>
  explicit Observed(const Make& make) : observer_(launch_observer) {
    if (observer_) observer_->before(launch_.emplace(make()));
  }
  ~Observed() {
    if (observer_) observer_->after(*launch_);
  }
  Observed(const Observed&) = delete;

 private:
  std::optional<Launch> launch_;
  LaunchObserver* observer_;
};

}  // namespace simt
