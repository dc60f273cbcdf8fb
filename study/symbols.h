#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace warpbert::study {

struct CodePlace {
  std::string function;  // demangled
  std::string file;      // as compiled; "??" if unknown
  int line = 0;
};

// Addresses are those of this executable. Starts addr2line once.
std::vector<CodePlace> find_places(const std::vector<const void*>& addresses);

}  // namespace warpbert::study
