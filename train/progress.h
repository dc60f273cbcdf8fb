// How far a run is: one line that redraws itself on a terminal, plain lines elsewhere.
#pragma once
#include <chrono>
#include <string>

#include "metrics_log.h"

namespace warpbert {

std::string duration_text(double seconds);  // "42 s", "3 m 05 s", "1 h 02 m"

class Progress {
 public:
  Progress(int epochs, int steps_per_epoch);
  // After every step; draws at most ten times a second, and only on a terminal. step: from 1, in the epoch.
  void step(int epoch, int step);
  void show(const StepRecord& record, int step);                         // a plain line, or what the redrawn line shows
  void epoch(const EpochRecord& record, bool best, double eta_seconds);  // always a line of its own

 private:
  using Clock = std::chrono::steady_clock;
  void clear();
  bool terminal_;
  int epochs_, steps_;
  double loss_ = undefined, pairs_per_s_ = 0;
  Clock::time_point epoch_begin_, drawn_;
  int epoch_ = 0;
};

}  // namespace warpbert
