// What the kernels and matrix products of a run take, by watching its own launches.
//
// On a GPU events of the stream stand before and behind each launch, and a launch in another stream than the one before
// waits for its end, so that no two overlap. If the host sends a kernel later than the device could begin, the wait is
// in its time: very short kernels look longer than they are. In the simulator it is the host's clock. Copies and fills
// are not seen, nor what is replayed from a graph.
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
  void add(const std::string& name, double seconds, double flops, double bytes);  // one launch; 0: not known
  double seconds() const;
  // A row for each name, the longest in all first: launches a step, mean time, share of the kernels' time, and where
  // known bytes and FLOPs with what they make a second.
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

  void start();  // the launches from here on; nothing may be under way
  void stop();   // to here; waits for them
  const LaunchTable& table() const { return table_; }

  void before(const simt::Launch& launch) override;
  void after(const simt::Launch& launch) override;

 private:
  struct Seen {
    std::string name;
    double flops, bytes;
  };
  std::vector<Seen> seen_;
  std::unique_ptr<LaunchTimes> times_;  // of each that was seen
  LaunchTable table_;
};

}  // namespace warpbert
