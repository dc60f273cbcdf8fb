#include "gemm_files.h"

#include <fmt/format.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <system_error>

#include "engine/gemm.h"
#include "io/atomic_file.h"
#include "io/error.h"

namespace warpbert {
namespace fs = std::filesystem;

namespace {

// {} if the file is missing, or damaged (with a warning).
GemmCache read_cache(const std::string& path, const char* consequence) {
  std::error_code none;
  if (path.empty() || !fs::exists(path, none)) return {};
  try {
    std::ifstream file(path, std::ios::binary);
    std::ostringstream text;
    text << file.rdbuf();
    if (!file) throw std::runtime_error("cannot be read");
    return parse_gemm_cache(text.str());
  } catch (const std::runtime_error& error) {
    io::warn("{}: {}; it is ignored{}", path, error.what(), consequence);
    return {};
  }
}

}  // namespace

std::string default_gemm_cache() {
  const auto set = [](const char* name) {
    const char* value = std::getenv(name);
    return value && *value ? std::string(value) : std::string();
  };
  if (const std::string cache = set("XDG_CACHE_HOME"); !cache.empty()) return cache + "/warpbert/gemm.txt";
  if (const std::string home = set("HOME"); !home.empty()) return home + "/.cache/warpbert/gemm.txt";
  return "";
}

std::string gemm_environment(const Device& device) {
  return fmt::format("{}; {}", device.name(), Gemm::library());
}

void read_algorithm_cache(AlgorithmCache& choices, const std::string& path, const std::string& environment) {
  const GemmCache cache = read_cache(path, "");
  if (const auto found = cache.find(environment); found != cache.end())
    choices.chosen.insert(found->second.begin(), found->second.end());
}

GemmFiles::GemmFiles(AlgorithmCache& choices, std::string environment, std::string run_file,
                     std::string cache)
    : choices_(choices),
      environment_(std::move(environment)),
      run_file_(std::move(run_file)),
      cache_(std::move(cache)) {
  run_ = read_cache(run_file_, ", and the run continues with algorithms that may round otherwise");
  if (const auto mine = run_.find(environment_); mine != run_.end())
    choices_.chosen.insert(mine->second.begin(), mine->second.end());
  else if (!run_.empty())
    io::warn(
        "{}: the run was begun on '{}', this is '{}'; it continues with algorithms that may round otherwise",
        run_file_, run_.begin()->first, environment_);
  saved_ = choices_.chosen.size();
  read_algorithm_cache(choices_, cache_, environment_);
}

void GemmFiles::save() {
  if (choices_.chosen.size() == saved_) return;
  run_[environment_] = choices_.chosen;
  io::write_file_atomically(run_file_, gemm_cache_text(run_));
  saved_ = choices_.chosen.size();
  save_cache();
}

// Another process may have changed the file; its choices stay.
void GemmFiles::save_cache() {
  if (cache_.empty()) return;
  try {
    fs::create_directories(fs::path(cache_).parent_path());
    GemmCache cache = read_cache(cache_, "");
    auto& mine = cache[environment_];
    const size_t before = mine.size();
    mine.insert(choices_.chosen.begin(), choices_.chosen.end());
    if (mine.size() == before) return;
    io::write_file_atomically(cache_, gemm_cache_text(cache));
  } catch (const std::runtime_error& error) {
    io::warn("the algorithms of matrix products cannot be kept for other runs: {}", error.what());
    cache_.clear();
  }
}

}  // namespace warpbert
