// Hook called around every kernel launch and GEMM. Costs one comparison when unset.
#pragma once
#include <cstddef>
#include <optional>
#include <vector>

struct CUstream_st;

namespace simt {

struct Argument {
  const void* value;
  size_t bytes;
};

struct Launch {
  const char* signature;  // kernel_name(signature) is the kernel's name; for a GEMM, the name itself
  unsigned grid[3], block[3];
  size_t dynamic_bytes;
  CUstream_st* stream;
  double flops = 0, bytes = 0;           // of a GEMM, from its shape; else 0
  std::vector<Argument> arguments = {};  // of a kernel in the simulator
};

// Called on the launching thread, before and after the launch. Unless capturing, the simulator runs the
// kernel in between.
class LaunchObserver {
 public:
  virtual void before(const Launch&) = 0;
  virtual void after(const Launch&) = 0;

 protected:
  ~LaunchObserver() = default;
};

inline LaunchObserver* launch_observer = nullptr;

// Reports one launch. Calls `make` only if an observer is set.
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
