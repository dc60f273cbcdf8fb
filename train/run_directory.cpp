#include "run_directory.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include "build_info.h"
#include "io/atomic_file.h"
#include "io/error.h"

namespace warpbert {
namespace fs = std::filesystem;

RunDirectory::RunDirectory(const std::string& path) : path_(path) {
  std::error_code error;
  fs::create_directories(path, error);
  if (error) throw io::Error(fmt::format("{}: cannot make the run directory: {}", path, error.message()));
  const std::string file = path + "/lock";
  lock_ = open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (lock_ < 0) throw io::Error(fmt::format("{}: {}", file, std::strerror(errno)));
  if (flock(lock_, LOCK_EX | LOCK_NB) != 0)
    throw io::Error(
        fmt::format("{}: another process is working in this run directory; wait for it, or set run.directory", path));
}

RunDirectory::~RunDirectory() {
  if (lock_ >= 0) close(lock_);
}

bool RunDirectory::holds_run_of(const Options& options) const {
  if (!fs::exists(config())) return false;
  std::string all;
  const Options there = read_options(config());
  for (const auto& [key, saved, wanted] : differences(there, options)) {
    all += fmt::format("{}{} = {} (there: {})", all.empty() ? "" : ", ", key, wanted, saved);
    if (key == "train.epochs" && !may_grow(there)) all += ", on which its rates depend";
  }
  if (!all.empty())
    throw UsageError(
        fmt::format("{} holds a run with another configuration: {}; set run.directory to another folder, or "
                    "remove this one",
                    path_, all));
  return true;
}

void RunDirectory::save_config(const Options& options) const {
  io::write_file_atomically(config(), "# Made by " + build_info() + ".\n" + config_text(options));
}

void RunDirectory::start_over() const {
  remove_events_but("");
  for (const std::string& file : {metrics(), best(), scores(), report(), gemm(), steps_csv(), epochs_csv(),
                                  path_ + "/checkpoints", path_ + "/models"}) {
    std::error_code ignored;
    fs::remove_all(file, ignored);
  }
}

std::vector<std::string> RunDirectory::checkpoints() const {
  std::vector<std::string> found;
  std::error_code none;
  for (const auto& entry : fs::directory_iterator(path_ + "/checkpoints", none))
    if (entry.path().extension() == ".npz") found.push_back(entry.path().string());
  std::sort(found.rbegin(), found.rend());  // names are as long as each other
  return found;
}

// Makes `<run>/<folder>` and returns its path.
static std::string inside(const std::string& run, const char* folder) {
  const std::string path = fmt::format("{}/{}", run, folder);
  std::error_code error;
  fs::create_directories(path, error);
  if (error) io::fail("{}: cannot be made: {}", path, error.message());
  return path;
}

std::string RunDirectory::checkpoint(long step) const {
  return fmt::format("{}/{:012}.npz", inside(path_, "checkpoints"), step);
}

void RunDirectory::keep_checkpoints(int n) const {
  const auto all = checkpoints();
  std::error_code ignored;
  for (size_t i = size_t(n); i < all.size(); i++) fs::remove(all[i], ignored);
}

std::string RunDirectory::model(int epoch) const {
  return fmt::format("{}/epoch-{:04}.npz", inside(path_, "models"), epoch);
}

static constexpr const char* events_prefix = "events.out.tfevents.";

std::string RunDirectory::events(long second) const {
  return fmt::format("{}/{}{:010}.warpbert", path_, events_prefix, second);
}

void RunDirectory::remove_events_but(const std::string& kept) const {
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(path_, ignored))
    if (entry.path().filename().string().starts_with(events_prefix) && entry.path() != kept)
      fs::remove(entry.path(), ignored);
}

}  // namespace warpbert
