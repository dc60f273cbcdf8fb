// How far a run is: one line that redraws itself on a terminal, plain lines elsewhere.
#pragma once
#include <chrono>
#include <cstdio>
#include <string>

#include "train/report/metrics_log.h"

namespace warpbert {

// "loss 1.2345  masked tokens 2.3456  [CLS] 0.6789"; without the part that has no targets (pretraining has no labels).
std::string losses_text(double loss, double loss_mlm, double loss_cls);

// What a progress line says.
struct ProgressState {
  int epoch = 0, epochs = 0;     // epoch from 1
  int step = 0, steps = 0;       // within the epoch
  double remaining = undefined;  // seconds
  StepRecord last{0, 0, undefined, undefined, undefined, undefined, undefined, undefined};
};

// At most `width` columns: the bar gives way first, then the numbers, the least wanted one first: memory, tokens a
// second, norm of the gradient, learning rate, pairs a second, the two losses, the time left, the loss, the step.
std::string progress_line(const ProgressState& state, int width);

// Where progress goes.
struct ProgressOutput {
  std::FILE* file = stdout;
  bool terminal = false;
  int width = 0;  // columns; 0: asked of the terminal at each draw
};
ProgressOutput standard_progress_output();

class Progress {
 public:
  Progress(int epochs, int steps_per_epoch, ProgressOutput output = standard_progress_output());
  Progress(const Progress&) = delete;
  ~Progress() { clear(); }

  // After every step; redraws the line at most ten times a second, and only on a terminal. step: from 1, in the epoch.
  void step(int epoch, int step);
  // New numbers: for the redrawn line, or as a plain line, then at most one every ten seconds.
  void show(const StepRecord& record, int step);
  // Always a line of its own.
  void epoch(const EpochRecord& record, bool best, double remaining_seconds);
  // Takes the redrawn line away, for other output.
  void clear();

 private:
  using Clock = std::chrono::steady_clock;
  ProgressOutput output_;
  ProgressState state_;
  Clock::time_point drawn_, printed_, begin_;
  long begin_step_ = -1;  // over all epochs: where begin_ was
  bool visible_ = false;
};

}  // namespace warpbert
