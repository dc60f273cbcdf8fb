// Largest absolute value and largest absolute difference of arrays; NaN counts as infinite.
#pragma once
#include <doctest/doctest.h>

#include <vector>

#include "buffer.h"

namespace warpbert::test {

inline double largest(const std::vector<float>& x) {
  Worst worst;
  for (const float v : x) worst.add(v, 0);
  return worst.value;
}

inline double largest_difference(const std::vector<float>& a, const std::vector<float>& b) {
  REQUIRE(a.size() == b.size());
  Worst worst;
  for (size_t i = 0; i < a.size(); i++) worst.add(double(a[i]) - b[i], 0);
  return worst.value;
}

// largest_difference relative to largest(b); NaN if b contains NaN, so no bound holds.
inline double relative_difference(const std::vector<float>& a, const std::vector<float>& b) {
  return largest_difference(a, b) / largest(b);
}

}  // namespace warpbert::test
