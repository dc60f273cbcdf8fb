#pragma once
#include <string>
#include <vector>

namespace warpbert::study {

struct ProgramResult {
  int code;  // exit code; 128 + signal
  std::string output;
};

// Runs words[0], found on PATH; `output` includes stderr if `errors`. Throws io::Error with `purpose` and the
// Debian package if it cannot be started, or fails without `errors`.
ProgramResult run_program(const std::vector<std::string>& words, const std::string& input,
                          const std::string& purpose, const std::string& package, bool errors = false);

std::string this_executable();

class TemporaryFolder {
 public:
  TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  ~TemporaryFolder();
  std::string operator/(const char* name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

}  // namespace warpbert::study
