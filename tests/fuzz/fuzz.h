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
#include <fstream>
#include <string>
#include <string_view>
#include <system_error>

#include "io/error.h"

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
class Folder {
 public:
  Folder() {
    const char* chosen = std::getenv("TMPDIR");
    const std::filesystem::path shared = "/dev/shm";
    std::string name = (chosen                              ? std::filesystem::path(chosen)
                        : access(shared.c_str(), W_OK) == 0 ? shared
                                                            : std::filesystem::temp_directory_path()) /
                       "warpbert-fuzz-XXXXXX";
    if (!mkdtemp(name.data())) finding("no temporary folder");
    path_ = name;
  }
  Folder(const Folder&) = delete;
  ~Folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

inline const Folder& folder() {
  static const Folder instance;
  return instance;
}

// Writes a file of the folder and returns its path.
inline std::string write(const std::string& name, std::string_view bytes) {
  const std::string path = folder() / name;
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
  return path;
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
