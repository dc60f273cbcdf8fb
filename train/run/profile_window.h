// Profiled steps: for Nsight Systems and, with profile.kernels, a table of kernel times.
#pragma once
#include <chrono>
#include <memory>
#include <string>

#include "engine/graph_cache.h"
#include "engine/launch_profile.h"
#include "train/config/options.h"

namespace warpbert {

// With profile.kernels, steps run without graphs (same bits) and synchronize. Every exit path stops the
// profiler.
class ProfileWindow {
 public:
  ProfileWindow(const Options& options, GraphCache& graphs) : options_(options), graphs_(graphs) {}
  ProfileWindow(const ProfileWindow&) = delete;
  ~ProfileWindow() { close(); }

  void before(long step);
  // Returns the table after the window's last step, with profile.kernels; else "".
  std::string after(long step);
  // Call after the run's last step. Returns a longer window's table, or a note if no step was in it.
  std::string end();

 private:
  void close();
  std::string table();
  const Options& options_;
  GraphCache& graphs_;
  std::unique_ptr<LaunchProfile> launches_;  // with profile.kernels, in the window
  bool open_ = false, shown_ = false;
  int steps_ = 0;  // so far
  double seconds_ = 0;
  std::chrono::steady_clock::time_point begin_;
};

}  // namespace warpbert
