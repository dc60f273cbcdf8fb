// Helpers of the fuzz targets (docs/reliability.md). Each target defines LLVMFuzzerTestOneInput, which gives
// a reader one input and checks what must hold. Whatever is wrong ends the process: a failed check, a crash,
// an exception of another type than the reader's own.
#pragma once
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <string_view>

#include "io/error.h"
#include "tests/support/temporary.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace warpbert::fuzz {

[[noreturn]] inline void finding(std::string_view what) {
  std::fprintf(stderr, "FINDING: %.*s\n", int(what.size()), what.data());
  std::abort();
}

inline void require(bool holds, std::string_view what) {
  if (!holds) finding(what);
}

inline std::string_view text_of(const uint8_t* data, size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

// The process's folder, in memory if possible: $TMPDIR, else /dev/shm. Removed at exit.
inline const test::TemporaryFolder& folder() {
  const char* const chosen = std::getenv("TMPDIR");
  static const test::TemporaryFolder instance(chosen ? chosen
                                              : access("/dev/shm", W_OK) == 0
                                                  ? "/dev/shm"
                                                  : std::filesystem::temp_directory_path());
  return instance;
}

// Writes a file of the folder and returns its path.
inline std::string write(const std::string& name, std::string_view bytes) {
  return folder().write(name, std::string(bytes));
}

// Returns whether `read` returns. It may throw Expected, whose message must hold `named`: the file's path.
template <class Expected = io::Error, class Read>
bool accepts(std::string_view named, Read read) {
  try {
    read();
    return true;
  } catch (const Expected& error) {
    if (std::string_view(error.what()).find(named) == std::string_view::npos)
      finding(fmt::format("an error does not name {}: {}", named, error.what()));
    return false;
  }
}

}  // namespace warpbert::fuzz
