#include "profile_window.h"

#include <fmt/format.h>

#include <utility>

#include "engine/device.h"
#include "engine/ranges.h"
#include "io/format.h"
#include "progress.h"

namespace warpbert {

void ProfileWindow::before(long step) {
  if (options_.profile.start_step && step == options_.profile.start_step) {
    profiler_start(), open_ = true;
    if (options_.profile.kernels) launches_ = std::make_unique<LaunchProfile>(), graphs_.enable(false);
  }
  if (!launches_) return;
  begin_ = std::chrono::steady_clock::now();
  launches_->start();
}

std::string ProfileWindow::after(long step) {
  if (launches_) {
    launches_->stop();
    seconds_ += io::seconds_since(begin_);
    steps_++;
  }
  if (step != long(options_.profile.start_step) + options_.profile.steps - 1) return "";
  std::string text = table();
  close();
  return text;
}

std::string ProfileWindow::end() {
  std::string text = table();
  if (options_.profile.kernels && !shown_)
    text =
        fmt::format("profile   no kernels were seen: this run took no step from profile.start_step = {} on\n",
                    options_.profile.start_step);
  close();
  return text;
}

std::string ProfileWindow::table() {
  if (!launches_) return "";
  shown_ = true;
  const int first = options_.profile.start_step;
  return fmt::format(
      "profile   steps {} to {}{}: {:.2f} ms a step by the host's clock, {:.2f} ms of them in kernels\n{}",
      first, first + steps_ - 1, Device::is_gpu() ? "" : ", simulated", seconds_ / steps_ * 1e3,
      launches_->table().seconds() / steps_ * 1e3, launches_->table().text(steps_));
}

void ProfileWindow::close() {
  if (std::exchange(launches_, nullptr)) graphs_.enable(options_.run.graphs);
  if (std::exchange(open_, false)) profiler_stop();
}

}  // namespace warpbert
