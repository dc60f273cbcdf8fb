// Progress of a run: one self-redrawing line on a terminal, plain lines elsewhere.
#pragma once
#include <chrono>
#include <cstdio>
#include <string>

#include "train/report/metrics_log.h"

namespace warpbert {

// "loss 1.2345  masked tokens 2.3456  [CLS] 0.6789", without parts that lack targets; "no targets" if the
// loss is not finite.
std::string losses_text(double loss, double loss_mlm, double loss_cls);

struct ProgressState {
  int epoch = 0, epochs = 0;     // epoch from 1
  int step = 0, steps = 0;       // within the epoch
  double remaining = undefined;  // seconds
  StepRecord last{0, 0, undefined, undefined, undefined, undefined, undefined, undefined};
};

// Fits into `width` columns by dropping, in order: bar, memory, tokens/s, gradient norm, learning rate,
// pairs/s, the two losses, time left, loss, step.
std::string progress_line(const ProgressState& state, int width);

struct ProgressOutput {
  std::FILE* file = stdout;
  bool terminal = false;
  int width = 0;  // columns; 0: ask at each draw
};
ProgressOutput standard_progress_output();

class Progress {
 public:
  Progress(int epochs, int steps_per_epoch, ProgressOutput output = standard_progress_output());
  Progress(const Progress&) = delete;
  ~Progress() { clear(); }

  // Call after every step, from 1 in its epoch. Redraws at most ten times a second.
  void step(int epoch, int step);
  // On a terminal in the redrawn line, else a line at most every ten seconds.
  void show(const StepRecord& record, int step);
  void epoch(const EpochRecord& record, bool best, double remaining_seconds);
  // Erases the redrawn line before other output.
  void clear();

 private:
  using Clock = std::chrono::steady_clock;
  ProgressOutput output_;
  ProgressState state_;
  Clock::time_point drawn_, printed_, begin_;
  long begin_step_ = -1;  // steps over all epochs at begin_
  bool visible_ = false;
};

}  // namespace warpbert
