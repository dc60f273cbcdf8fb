// FNV-1a (Fowler, Noll & Vo): equal on every machine.
#pragma once
#include <cstdint>
#include <string_view>

namespace warpbert {

template <class Int>
class Fnv {
  static_assert(sizeof(Int) == 4 || sizeof(Int) == 8);

 public:
  void add(Int x) { value_ = (value_ ^ x) * prime; }
  void add(std::string_view text) {
    for (const char c : text) add(Int(uint8_t(c)));
  }
  Int value() const { return value_; }

 private:
  static constexpr Int prime = sizeof(Int) == 4 ? Int(16777619u) : Int(1099511628211u);
  Int value_ = sizeof(Int) == 4 ? Int(2166136261u) : Int(14695981039346656037u);
};

}  // namespace warpbert
