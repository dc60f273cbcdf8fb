#include "run_directory.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "io/atomic_file.h"
#include "io/error.h"
#include "metrics_log.h"

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
  for (const auto& [key, saved, wanted] : differences(read_options(config()), options))
    all += fmt::format("{}{} = {} (there: {})", all.empty() ? "" : ", ", key, wanted, saved);
  if (!all.empty())
    throw UsageError(
        fmt::format("{} holds a run with another configuration: {}; set run.directory to another folder, or "
                    "remove this one",
                    path_, all));
  return true;
}

void RunDirectory::save_config(const Options& options) const {
  io::write_file_atomically(config(), config_text(options));
}

int RunDirectory::finished_epochs() const {
  if (!fs::exists(metrics())) return 0;
  const Metrics metrics = read_metrics(this->metrics());
  return metrics.epochs.empty() ? 0 : metrics.epochs.back().epoch;
}

void RunDirectory::start_over() const {
  for (const std::string& file : {metrics(), best(), scores(), report()}) {
    std::error_code ignored;
    fs::remove(file, ignored);
  }
}

}  // namespace warpbert
