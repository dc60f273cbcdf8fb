#include "build_info.h"

#include "build_commit.h"  // written by cmake/build_commit.cmake

namespace warpbert {

#if defined(__clang__)
#define WARPBERT_COMPILER "Clang " __clang_version__
#else
#define WARPBERT_COMPILER "GCC " __VERSION__
#endif

std::string build_info() {
  return "warpbert " WARPBERT_VERSION " (commit " WARPBERT_COMMIT "), " WARPBERT_COMPILER
         ", " WARPBERT_BUILD_TYPE ", " WARPBERT_BACKEND;
}

}  // namespace warpbert
