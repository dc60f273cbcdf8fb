// Loads and stores of kernels, by the hooks that g++ -fsanitize=thread calls before each access
// (docs/study.md). Not thread-safe: use one simulator worker.
#pragma once
#include <cstddef>

namespace warpbert::study {

enum class Access { load, store, atomic };

// frame[0] is the caller's frame, frame[1] the return address, if kernels are compiled with -O0 or
// -fno-omit-frame-pointer.
class AccessObserver {
 public:
  virtual void access(void* p, size_t bytes, Access kind, void* pc, void** frame) = 0;
  virtual void entered(void** /*frame*/) {}
  virtual void left() {}

 protected:
  ~AccessObserver() = default;
};

extern AccessObserver* access_observer;  // null: accesses are ignored

}  // namespace warpbert::study
