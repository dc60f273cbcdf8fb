#include "run_directory.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <iterator>
#include <system_error>

#include "io/atomic_file.h"
#include "io/error.h"
#include "io/text.h"
#include "train/config/build_info.h"

namespace warpbert {
namespace fs = std::filesystem;

// Returns the topmost new folder, or "".
static std::string make_folders(const std::string& path) {
  std::string topmost;
  std::error_code error;
  for (fs::path folder = fs::absolute(path).lexically_normal(); !folder.empty() && !fs::exists(folder, error);
       folder = folder.parent_path())
    topmost = folder;
  fs::create_directories(path, error);
  if (error) throw io::Error(fmt::format("{}: cannot make the run directory: {}", path, error.message()));
  if (!topmost.empty()) io::sync_folder(fs::path(topmost).parent_path());
  return topmost;
}

static bool is_open_file(int descriptor, const std::string& path) {
  struct stat open, there;
  return fstat(descriptor, &open) == 0 && stat(path.c_str(), &there) == 0 && open.st_ino == there.st_ino &&
         open.st_dev == there.st_dev;
}

RunDirectory::RunDirectory(const std::string& path) : path_(path) {
  const std::string file = path + "/lock";
  int failure = 0;
  for (int attempt = 1;; attempt++) {
    if (const std::string made = make_folders(path); made_.empty()) made_ = made;
    lock_ = open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    // Another process may have just removed its folder.
    if (lock_ < 0 && errno == ENOENT && attempt < 100) continue;
    if (lock_ < 0) throw io::Error(io::writing_failure(file, errno));
    failure = flock(lock_, LOCK_EX | LOCK_NB) == 0 ? 0 : errno;
    if (failure || is_open_file(lock_, file)) break;
    close(lock_);
  }
  if (!failure) {
    for (const char* folder : {"", "/checkpoints", "/models"}) io::remove_left_overs(path + folder);
    return;
  }
  if (failure == EWOULDBLOCK)
    throw io::Error(fmt::format(
        "{}: another process is working in this run directory; wait for it, or set run.directory", path));
  // Some network file systems have no locks.
  io::warn("{}: cannot be locked: {}; nothing keeps a second process out of this run directory", file,
           std::strerror(failure));
}

RunDirectory::~RunDirectory() {
  if (lock_ < 0) return;
  std::error_code ignored;
  const auto entries = std::distance(fs::directory_iterator(path_, ignored), fs::directory_iterator());
  if (!made_.empty() && entries == 1) {
    fs::remove(path_ + "/lock", ignored);
    for (fs::path folder = fs::absolute(path_).lexically_normal();; folder = folder.parent_path())
      if (!fs::remove(folder, ignored) || folder == made_) break;  // not empty
  }
  close(lock_);
}

// Earlier versions saved no train.shards, or 0.
static Options read_saved(const std::string& config) {
  Options options = read_options(config);
  options.train.shards = std::max(options.train.shards, 1);
  return options;
}

int saved_shards(const Options& options) {
  const std::string config = options.run.directory + "/config.ini";
  std::error_code none;
  return !options.train.shards && fs::exists(config, none) ? read_saved(config).train.shards : 0;
}

std::string differences_text(const Options& there, const Options& options) {
  std::string all;
  for (const auto& [key, saved, wanted] : differences(there, options)) {
    all += fmt::format("{}{} = {} (there: {})", all.empty() ? "" : ", ", key, wanted, saved);
    if (key != "train.epochs" || may_grow(there)) continue;
    all += there.train.epochs % there.run.evaluate_every
               ? ", whose last epoch was evaluated only because it was the last"
               : ", on which its learning rates depend";
  }
  return all;
}

bool RunDirectory::holds_run_of(const Options& options) const {
  if (!fs::exists(config())) return false;
  const Options there = read_saved(config());
  if (const std::string all = differences_text(there, options); !all.empty())
    throw UsageError(
        fmt::format("{} holds a run with another configuration: {}; set run.directory to another folder, or "
                    "remove this one",
                    path_, all));
  return true;
}

void RunDirectory::save_config(const Options& options) const {
  io::write_file_atomically(config(), "# Made by " + build_info() + ".\n" + config_text(options));
}

void RunDirectory::renew_config(const Options& options) const {
  const std::string before = io::read_file(config());
  Options renewed = options;
  renewed.train.epochs = read_options(config()).train.epochs;
  const std::string made_by = before.substr(0, before.find('\n') + 1);
  if (const std::string after = made_by + config_text(renewed); after != before)
    io::write_file_atomically(config(), after);
}

static constexpr const char* events_prefix = "events.out.tfevents.";

template <class Accepts>
static std::vector<std::string> files_of(const std::string& folder, Accepts accepts) {
  std::vector<std::string> found;
  std::error_code none;
  for (const auto& entry : fs::directory_iterator(folder, none))
    if (accepts(entry.path().filename().string())) found.push_back(entry.path().string());
  return found;
}

// Matches prefix, at least `digits` digits, suffix.
static bool is_numbered(const std::string& name, std::string_view prefix, size_t digits,
                        std::string_view suffix) {
  if (name.size() < prefix.size() + digits + suffix.size() || !name.starts_with(prefix) ||
      !name.ends_with(suffix))
    return false;
  return std::all_of(name.begin() + long(prefix.size()), name.end() - long(suffix.size()),
                     [](char c) { return c >= '0' && c <= '9'; });
}

std::vector<std::string> RunDirectory::results() const {
  std::vector<std::string> found = checkpoints();
  for (const auto& more : {events(), final_results()}) found.insert(found.end(), more.begin(), more.end());
  for (const std::string& file : {metrics(), gemm(), steps_csv(), epochs_csv()})
    if (fs::exists(file)) found.push_back(file);
  return found;
}

std::vector<std::string> RunDirectory::final_results() const {
  auto found = files_of(path_ + "/models",
                        [](const std::string& name) { return is_numbered(name, "epoch-", 4, ".npz"); });
  for (const std::string& file : {best(), scores(), run_json(), report()})
    if (fs::exists(file)) found.push_back(file);
  return found;
}

void RunDirectory::start_over() const {
  std::error_code ignored;
  for (const std::string& file : results()) fs::remove(file, ignored);
  if (ftruncate(lock_, 0) != 0) throw io::Error(io::writing_failure(path_ + "/lock", errno));
}

std::vector<std::string> RunDirectory::checkpoints() const {
  auto found = files_of(path_ + "/checkpoints",
                        [](const std::string& name) { return is_numbered(name, "", 12, ".npz"); });
  std::sort(found.rbegin(), found.rend());  // names have equal length
  return found;
}

static std::string inside(const std::string& run, const char* folder) {
  const std::string path = fmt::format("{}/{}", run, folder);
  std::error_code error;
  if (fs::create_directories(path, error)) io::sync_folder(run);
  if (error) io::fail("{}: cannot be made: {}", path, error.message());
  return path;
}

void RunDirectory::sync_models() const { io::sync_folder(path_ + "/models"); }

std::string RunDirectory::checkpoint(long step) const {
  return fmt::format("{}/{:012}.npz", inside(path_, "checkpoints"), step);
}

void RunDirectory::note_checkpoint() const {
  constexpr std::string_view note = "This run has saved checkpoints.\n";
  if (pwrite(lock_, note.data(), note.size(), 0) != ssize_t(note.size()))
    throw io::Error(io::writing_failure(path_ + "/lock", errno));
}

bool RunDirectory::had_checkpoints() const {
  struct stat status;
  return !fs::exists(metrics()) || fstat(lock_, &status) != 0 || status.st_size > 0;
}

void RunDirectory::keep_checkpoints(int n) const {
  const auto all = checkpoints();
  std::error_code ignored;
  for (size_t i = size_t(n); i < all.size(); i++) fs::remove(all[i], ignored);
}

std::string RunDirectory::model(int epoch) const {
  return fmt::format("{}/epoch-{:04}.npz", inside(path_, "models"), epoch);
}

std::string RunDirectory::events(long second) const {
  return fmt::format("{}/{}{:010}.warpbert", path_, events_prefix, second);
}

std::vector<std::string> RunDirectory::events() const {
  return files_of(path_,
                  [](const std::string& name) { return is_numbered(name, events_prefix, 10, ".warpbert"); });
}

void RunDirectory::remove_events_but(const std::string& kept) const {
  std::error_code ignored;
  for (const std::string& file : events())
    if (file != kept) fs::remove(file, ignored);
}

}  // namespace warpbert
