// Limits address space, as `ulimit -v` does, while alive.
#pragma once
#include <sys/resource.h>
#include <unistd.h>

#include <cstddef>
#include <fstream>

namespace warpbert::test {

class LittleMemory {
 public:
  explicit LittleMemory(size_t more) {
    size_t pages = 0;
    std::ifstream("/proc/self/statm") >> pages;
    getrlimit(RLIMIT_AS, &before_);
    if (!exists()) return;
    const rlimit limit{pages * size_t(getpagesize()) + more, before_.rlim_max};
    setrlimit(RLIMIT_AS, &limit);
  }
  ~LittleMemory() { setrlimit(RLIMIT_AS, &before_); }
  LittleMemory(const LittleMemory&) = delete;

  // False with a sanitizer, which reserves terabytes.
  static constexpr bool exists() {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    return false;
#else
    return true;
#endif
  }

 private:
  rlimit before_{};
};

}  // namespace warpbert::test
