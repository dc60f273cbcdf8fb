#pragma once
#include <doctest/doctest.h>
#include <unistd.h>

#include <cstdio>
#include <string>

#include "temporary.h"

namespace warpbert::test {

// Captures writes to `stream` (stdout or stderr) during its lifetime.
class Captured {
 public:
  explicit Captured(std::FILE* stream) : stream_(stream) {
    std::FILE* file = std::fopen((folder_ / "out").c_str(), "w");
    REQUIRE(file);
    std::fflush(stream_);
    before_ = dup(fileno(stream_));
    dup2(fileno(file), fileno(stream_));
    std::fclose(file);
  }
  Captured(const Captured&) = delete;
  ~Captured() {
    std::fflush(stream_);
    dup2(before_, fileno(stream_));
    close(before_);
  }
  std::string text() const {
    std::fflush(stream_);
    return contents(folder_ / "out");
  }

 private:
  TemporaryFolder folder_;
  std::FILE* stream_;
  int before_;
};

}  // namespace warpbert::test
