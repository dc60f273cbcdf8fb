// Memory of one step: handed out one piece after another, taken back all at once. Pieces carry a name, and the arena
// remembers how much each name had when most was in use, so that "where does the memory go?" has an answer.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "device.h"

namespace warpbert {

class Arena {
 public:
  explicit Arena(Device& device, bool poison = false) : device_(&device), poison_(poison) {}

  // `bytes` of uninitialised memory, 256-byte aligned; with `poison` full of NaNs. Valid until reset().
  void* allocate(size_t bytes, const char* name);
  template <class T>
  T* allocate(size_t n, const char* name) {
    return static_cast<T*>(allocate(n * sizeof(T), name));
  }
  void reset();  // the blocks stay with the arena: the next step's pieces get the same addresses

  size_t used() const { return used_; }
  size_t high_water() const { return high_water_; }
  // A line a name, largest first: bytes held when most was in use.
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
