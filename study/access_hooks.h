// Loads and stores of kernels, as they happen. Kernels are compiled with g++ -fsanitize=thread but linked
// without its runtime; access_hooks.cpp defines the hooks (__tsan_read4(address) ...) that g++ calls before
// each access. Not thread-safe: use one simulator worker.
#pragma once
#include <cstddef>

namespace warpbert::study {

enum class Access { load, store, atomic };

// Hooks get the calling function's frame: frame[0] is its caller's frame, frame[1] its return address, if
// kernels are compiled with -O0 or -fno-omit-frame-pointer.
class AccessObserver {
 public:
  virtual void access(void* p, size_t bytes, Access kind, void* pc, void** frame) = 0;  // pc: of the access
  virtual void entered(void** /*frame*/) {}                                             // a function begins
  virtual void left() {}

 protected:
  ~AccessObserver() = default;
};

extern AccessObserver* access_observer;  // null: accesses are ignored

}  // namespace warpbert::study
