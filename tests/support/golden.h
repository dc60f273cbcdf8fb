// Path of tests/golden: compiled in; $WARPBERT_GOLDEN overrides it.
#pragma once
#include <cstdlib>
#include <string>

namespace warpbert {

inline std::string golden_folder() {
  const char* elsewhere = std::getenv("WARPBERT_GOLDEN");
  return elsewhere ? elsewhere : WARPBERT_GOLDEN;
}

}  // namespace warpbert
