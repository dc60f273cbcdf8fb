// The steps that are looked at: by Nsight Systems, and with profile.kernels by the run itself.
#pragma once
#include <chrono>
#include <memory>
#include <string>

#include "engine/launch_profile.h"
#include "train/config/options.h"
#include "train/step/step.h"

namespace warpbert {

// Start and stop belong together on every way out. With profile.kernels the window's steps are sent kernel by kernel,
// which gives the same bits, and each is waited for.
class ProfileWindow {
 public:
  ProfileWindow(const Options& options, Stepper& stepper) : options_(options), stepper_(stepper) {}
  ProfileWindow(const ProfileWindow&) = delete;
  ~ProfileWindow() { close(); }

  void before(long step);
  // After the window's last step, with profile.kernels: the table. Else nothing.
  std::string after(long step);
  // After the run's last step: the table of a window that goes on beyond it, or a line that says there was no step.
  std::string end();

 private:
  void close();
  std::string table();
  const Options& options_;
  Stepper& stepper_;
  std::unique_ptr<LaunchProfile> launches_;  // with profile.kernels, while open
  bool open_ = false, shown_ = false;
  int steps_ = 0;  // so far
  double seconds_ = 0;
  std::chrono::steady_clock::time_point begin_;
};

}  // namespace warpbert
