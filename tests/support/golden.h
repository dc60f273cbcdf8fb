// Where tests/golden is: as compiled, or, where the tests run far from their sources, by the environment.
#pragma once
#include <cstdlib>
#include <string>

namespace warpbert {

inline std::string golden_folder() {
  const char* elsewhere = std::getenv("WARPBERT_GOLDEN");
  return elsewhere ? elsewhere : WARPBERT_GOLDEN;
}

}  // namespace warpbert
