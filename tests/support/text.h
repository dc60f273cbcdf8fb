// What tests ask of long texts.
#pragma once
#include <string>

namespace warpbert::test {

// How often `part` occurs.
inline size_t count(const std::string& text, const std::string& part) {
  size_t n = 0;
  for (size_t at = text.find(part); at != text.npos; at = text.find(part, at + 1)) n++;
  return n;
}

}  // namespace warpbert::test
