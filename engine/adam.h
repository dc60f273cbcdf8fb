// Adam of kernels.h. Biases and gains are never decayed.
#pragma once
#include <vector>

#include "parameters.h"

namespace warpbert {

struct AdamOptions {
  float beta1 = 0.9f, beta2 = 0.999f, epsilon = 1e-7f;
  float weight_decay = 0;   // decoupled
  float clip_norm = 0;      // limit of the global gradient norm; 0: off
  float outlier_limit = 0;  // skips updates with norm > mean + limit·deviation of the last 128; 0: off
  // EMA weights: average = d·average + (1 − d)·master, d = min(ema_decay, (1 + t)/(10 + t)); 0: none
  double ema_decay = 0;
};

// Scalars of one update per parameter group.
using AdamSteps = std::vector<kernels::AdamStep>;

class Adam {
 public:
  Adam(ParameterStore& store, AdamOptions options);

  // Changes nothing if *finite (device, may be null) is 0.
  void step(double lr, const int* finite = nullptr);

  // step() in parts, for stream capture. count() runs on the host; its result goes to `steps` on the device.
  // Then begin(); update() for complete gradients, on any stream, if can_update_early(); finish() for the
  // rest.
  AdamSteps count(double lr);
  void begin();
  void update(const Parameter& parameter, const kernels::AdamStep* steps, const int* finite,
              kernels::Stream stream);
  void finish(kernels::AdamStep* steps, const int* finite);
  // Replaces begin() to finish() for a caller who writes squared_norm() and updates slices [begin, end) of
  // the flat buffers. clip_and_filter() clips and returns, on the device, whether to update; it needs
  // !can_update_early().
  double* squared_norm() { return squared_norm_.data(); }
  const int* clip_and_filter(kernels::AdamStep* steps, const int* finite, kernels::Stream stream);
  void update_slice(const kernels::AdamStep* steps, const int* do_update, size_t begin, size_t end,
                    kernels::Stream stream);
  bool can_update_early() const { return !norm_first(); }
  size_t groups() const { return groups_.size(); }

  long steps() const { return steps_; }
  void set_steps(long steps) { steps_ = steps; }
  double grad_norm();  // before clipping; synchronizes
  double skipped();    // outlier updates; synchronizes
  bool is_finite();    // true if finite or the outlier filter is on; synchronizes

  // Gradient-norm history, for checkpoints; empty without outlier filter.
  std::vector<double> norms() { return history_.size() ? history_.download() : std::vector<double>(); }
  void set_norms(const std::vector<double>& norms) { history_.upload(norms); }

 private:
  struct Group {
    float lr_scale;
    bool decays;
    bool operator==(const Group&) const = default;
  };
  bool norm_first() const { return options_.clip_norm > 0 || options_.outlier_limit > 0; }
  // in_memory_[first, last) is in one group.
  void update_run(size_t first, size_t last, const kernels::AdamStep* steps, const int* do_update,
                  kernels::Stream stream);
  void update_values(const Parameter& p, size_t offset, size_t end, double* squares,
                     const kernels::AdamStep* steps, const int* do_update, kernels::Stream stream);
  // Calls f(first, last) for runs in one group not updated yet.
  template <class F>
  void for_each_run(F f) const;

  ParameterStore& store_;
  AdamOptions options_;
  long steps_ = 0;
  std::vector<const Parameter*> in_memory_;  // sorted by offset
  std::vector<size_t> place_;                // by Parameter::index, in in_memory_
  std::vector<Group> groups_;
  std::vector<size_t> group_;  // by Parameter::index
  std::vector<bool> updated_;  // by Parameter::index
  DeviceArray<kernels::AdamStep> records_;
  DeviceArray<double> squared_norm_, squares_;  // Σ g², partial sums
  DeviceArray<double> history_;
  DeviceArray<int> do_update_;
};

}  // namespace warpbert
