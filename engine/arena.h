// Bump allocator for one step's device memory.
#pragma once
#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "device.h"

namespace warpbert {

class Arena {
 public:
  explicit Arena(Device& device, bool poison = false) : device_(&device), poison_(poison) {}

  // 256-byte aligned, uninitialised (NaNs with `poison`), valid until reset().
  void* allocate(size_t bytes, const char* name);
  template <class T>
  T* allocate(size_t n, const char* name) {
    return static_cast<T*>(allocate(n * sizeof(T), name));
  }
  void reset();  // the next step gets the same addresses

  size_t used() const { return used_; }
  size_t high_water() const { return std::max(used_, high_water_); }
  // Bytes by name at the high-water mark, largest first.
  std::string report() const;

 private:
  struct Block {
    DeviceArray<char> memory;
    size_t used = 0;
  };
  Device* device_;
  bool poison_;
  std::vector<Block> blocks_;
  size_t current_ = 0, used_ = 0, high_water_ = 0;
  std::map<std::string, size_t> by_name_, at_high_water_;
};

}  // namespace warpbert
