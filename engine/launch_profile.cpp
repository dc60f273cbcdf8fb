#include "launch_profile.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "simt/kernel_name.h"

namespace warpbert {

LaunchProfile::LaunchProfile() : times_(launch_times()) {}

LaunchProfile::~LaunchProfile() {
  if (simt::launch_observer == this) simt::launch_observer = nullptr;
}

void LaunchProfile::start() { simt::launch_observer = this; }

void LaunchProfile::before(const simt::Launch& launch) {
  seen_.push_back({simt::kernel_name(launch.signature), launch.flops, launch.bytes});
  times_->begin(seen_.size() - 1, launch.stream);
}

void LaunchProfile::after(const simt::Launch& launch) { times_->end(seen_.size() - 1, launch.stream); }

void LaunchProfile::stop() {
  simt::launch_observer = nullptr;
  for (size_t i = 0; i < seen_.size(); i++)
    table_.add(seen_[i].name, times_->seconds(i), seen_[i].flops, seen_[i].bytes);
  seen_.clear();
}

void LaunchTable::add(const std::string& name, double seconds, double flops, double bytes) {
  Row& row = rows_[name];
  row.launches++, row.seconds += seconds, row.flops += flops, row.bytes += bytes;
}

double LaunchTable::seconds() const {
  double sum = 0;
  for (const auto& [name, row] : rows_) sum += row.seconds;
  return sum;
}

std::string LaunchTable::text(int steps) const {
  std::vector<std::pair<std::string, Row>> rows(rows_.begin(), rows_.end());
  std::stable_sort(rows.begin(), rows.end(),
                   [](auto& a, auto& b) { return a.second.seconds > b.second.seconds; });
  size_t width = 6;
  for (const auto& [name, row] : rows) width = std::max(width, name.size());
  std::string text = fmt::format("{:{}} {:>13} {:>10} {:>7} {:>9} {:>8} {:>9} {:>8}\n", "kernel", width,
                                 "launches/step", "mean µs", "share", "MB", "GB/s", "GFLOP", "TFLOP/s");
  const auto known = [](double x, int width, int digits) {
    return x > 0 ? fmt::format(" {:>{}.{}f}", x, width, digits) : fmt::format(" {:>{}}", "-", width);
  };
  for (const auto& [name, row] : rows) {
    const double n = double(row.launches);
    text += fmt::format("{:{}} {:>13.1f} {:>10.1f} {:>6.1f}%", name, width, n / steps, row.seconds / n * 1e6,
                        100 * row.seconds / seconds());
    text += known(row.bytes / n * 1e-6, 9, 2) + known(row.bytes / row.seconds * 1e-9, 8, 1) +
            known(row.flops / n * 1e-9, 9, 3) + known(row.flops / row.seconds * 1e-12, 8, 3) + "\n";
  }
  return text;
}

}  // namespace warpbert
