// CUDA events time a GPU's launches, serialized across streams; late host launches count. The simulator uses
// the host's clock. Copies, memsets and graph launches are not measured.
#pragma once
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "launch_times.h"
#include "simt/launch_observer.h"

namespace warpbert {

class LaunchTable {
 public:
  void add(const std::string& name, double seconds, double flops, double bytes);  // 0: unknown
  double seconds() const;
  // Per name, longest total first: launches per step, mean time, share; if known, bytes, FLOPs and rates.
  std::string text(int steps) const;

 private:
  struct Row {
    long launches = 0;
    double seconds = 0, flops = 0, bytes = 0;
  };
  std::map<std::string, Row> rows_;
};

class LaunchProfile final : public simt::LaunchObserver {
 public:
  LaunchProfile();
  ~LaunchProfile();
  LaunchProfile(const LaunchProfile&) = delete;

  void start();  // the device must be idle
  void stop();   // synchronizes
  const LaunchTable& table() const { return table_; }

  void before(const simt::Launch& launch) override;
  void after(const simt::Launch& launch) override;

 private:
  struct Seen {
    std::string name;
    double flops, bytes;
  };
  std::vector<Seen> seen_;
  std::unique_ptr<LaunchTimes> times_;  // parallel to seen_
  LaunchTable table_;
};

}  // namespace warpbert
