#include "disk_space.h"

#include <sys/resource.h>
#include <sys/statvfs.h>

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "io/error.h"

namespace warpbert {

namespace fs = std::filesystem;

FileSizes file_sizes(Bert& bert) {
  const double model = double(bert.store.real_size()) * sizeof(float);
  return {model * (bert.store.ema_weights() ? 4 : 3), model};  // weights and Adam's moments; EMA weights
}

double most_bytes(const Options& options, const FileSizes& sizes, double steps_per_epoch) {
  const RunOptions& run = options.run;
  const double epochs = options.train.epochs, steps = epochs * steps_per_epoch;
  const int every =
      run.checkpoint_minutes > 0 ? 1 : run.checkpoint_steps;  // by the clock, each step may write one
  const double saved = every ? 1 + std::floor(steps / every) : 1;
  const double evaluated = std::max(std::ceil(epochs / run.evaluate_every), 1.0);
  const double kept = run.keep_best > 1 ? std::min<double>(run.keep_best, evaluated) : 0;
  const double replaced = std::max(saved > run.keep_checkpoints ? sizes.checkpoint : 0,  //
                                   evaluated > 1 ? sizes.model : 0);
  return std::min<double>(run.keep_checkpoints, saved) * sizes.checkpoint + (1 + kept) * sizes.model +
         replaced;
}

static double bytes_there(const fs::path& directory) {
  double bytes = 0;
  std::error_code none;
  for (const char* folder : {"", "checkpoints", "models"})
    for (const auto& entry : fs::directory_iterator(directory / folder, none))
      if (entry.path().extension() == ".npz" && entry.is_regular_file(none))
        bytes += double(entry.file_size(none));
  return bytes;
}

void check_disk_space(Session& session) {
  const auto mib = [](double bytes) { return bytes / 1048576; };
  const Options& options = session.options();
  const FileSizes sizes = file_sizes(session.bert());
  const std::string& directory = options.run.directory;
  rlimit limit{};
  if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY &&
      sizes.checkpoint > double(limit.rlim_cur))
    io::fail(
        "{}: a checkpoint has {:.1f} MiB, and a file may have {:.1f}; raise the limit of file sizes (ulimit "
        "-f)",
        directory, mib(sizes.checkpoint), mib(double(limit.rlim_cur)));
  std::error_code none;
  fs::path place = fs::absolute(directory, none);
  while (!fs::exists(place, none) && place.has_relative_path()) place = place.parent_path();
  struct statvfs system {};
  if (statvfs(place.c_str(), &system) != 0 || system.f_blocks == 0) return;  // unknown
  const double room = double(system.f_bavail) * double(system.f_frsize) + bytes_there(directory);
  const double steps = std::ceil(double(session.data().set.training.size()) / options.train.batch);
  const double needed = most_bytes(options, sizes, steps);
  if (needed <= room) return;
  io::fail(
      "{}: its file system has room for {:.1f} MiB, and this run takes up to {:.1f}: a checkpoint has {:.1f} "
      "and a model {:.1f}; free some space, lower run.keep_checkpoints or run.keep_best, {}or set "
      "run.directory to another file system",
      directory, mib(room), mib(needed), mib(sizes.checkpoint), mib(sizes.model),
      options.run.checkpoint_minutes > 0 ? "set run.checkpoint_minutes to 0, " : "");
}

}  // namespace warpbert
