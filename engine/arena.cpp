#include "arena.h"

#include <fmt/format.h>

#include <algorithm>

namespace warpbert {

constexpr size_t alignment = 256, block_bytes = size_t(32) << 20;

void* Arena::allocate(size_t bytes, const char* name) {
  const size_t rounded = (bytes + alignment - 1) / alignment * alignment;
  while (current_ < blocks_.size() && blocks_[current_].used + rounded > blocks_[current_].memory.size())
    current_++;
  if (current_ == blocks_.size())
    blocks_.push_back({DeviceArray<char>(*device_, std::max(rounded, block_bytes)), 0});
  Block& block = blocks_[current_];
  char* p = block.memory.data() + block.used;
  block.used += rounded;
  used_ += rounded;
  by_name_[name] += rounded;
  if (poison_) device_->fill(p, 0xff, rounded);
  return p;
}

void Arena::reset() {
  if (used_ > high_water_) high_water_ = used_, at_high_water_ = by_name_;
  for (Block& block : blocks_) block.used = 0;
  by_name_.clear();
  current_ = used_ = 0;
}

std::string Arena::report() const {
  const auto& names = used_ > high_water_ ? by_name_ : at_high_water_;
  std::vector<std::pair<std::string, size_t>> rows(names.begin(), names.end());
  std::stable_sort(rows.begin(), rows.end(), [](auto& a, auto& b) { return a.second > b.second; });
  std::string text;
  for (const auto& [name, bytes] : rows)
    text += fmt::format("{:>10.2f} MiB  {}\n", double(bytes) / 1048576, name);
  return text;
}

}  // namespace warpbert
