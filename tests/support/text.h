#pragma once
#include <string>

namespace warpbert::test {

// Number of occurrences of `part`, overlaps included.
inline size_t count(const std::string& text, const std::string& part) {
  size_t n = 0;
  for (size_t at = text.find(part); at != text.npos; at = text.find(part, at + 1)) n++;
  return n;
}

}  // namespace warpbert::test
