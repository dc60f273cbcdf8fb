// The largest value, and the largest difference, of arrays; not-a-number anywhere counts as infinite.
#pragma once
#include <doctest/doctest.h>

#include <vector>

#include "buffer.h"

namespace warpbert::test {

inline double largest(const std::vector<float>& x) {
  Worst worst;
  for (const float v : x) worst.add(v, 0);  // |v − 0| / (0 + 1)
  return worst.value;
}

inline double largest_difference(const std::vector<float>& a, const std::vector<float>& b) {
  REQUIRE(a.size() == b.size());
  Worst worst;
  for (size_t i = 0; i < a.size(); i++) worst.add(double(a[i]) - b[i], 0);
  return worst.value;
}

// As a share of b's largest. If b holds a not-a-number, so is this: no bound holds.
inline double relative_difference(const std::vector<float>& a, const std::vector<float>& b) {
  return largest_difference(a, b) / largest(b);
}

}  // namespace warpbert::test
