#include "device.h"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>

namespace warpbert {

void Device::zero(void* device, size_t bytes) { fill(device, 0, bytes); }

void* Device::allocate(size_t bytes) {
  void* p = reserve(std::max<size_t>(bytes, 1));
  if (!p)
    throw std::runtime_error(
        fmt::format("out of device memory: {:.1f} MiB more were asked for, {:.1f} MiB are in use; smaller "
                    "batches need less",
                    double(bytes) / 1048576, double(bytes_) / 1048576));
  blocks_.emplace_back(p, bytes);
  bytes_ += bytes, high_water_ = std::max(high_water_, bytes_);
  return p;
}

void Device::free(void* p) {
  const auto block = std::find_if(blocks_.begin(), blocks_.end(), [&](auto& b) { return b.first == p; });
  bytes_ -= block->second;
  blocks_.erase(block);
  release(p);
}

}  // namespace warpbert
