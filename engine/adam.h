// Adam over a parameter store, in Keras's form (kernels.h, adam). Biases and gains are never decayed.
#pragma once
#include <vector>

#include "parameters.h"

namespace warpbert {

struct AdamOptions {
  float beta1 = 0.9f, beta2 = 0.999f, epsilon = 1e-7f;
  float weight_decay = 0;   // decoupled
  float clip_norm = 0;      // the gradient is scaled down to this global norm; 0: off
  float outlier_limit = 0;  // steps whose gradient norm is so many deviations above the last 128's are skipped; 0: off
  // d of average = d·average + (1 − d)·masters, at most (1 + t)/(10 + t) at step t; 0: none is kept
  double average_decay = 0;
};

// What changes from update to update, by group of parameters with a common rate; the kernels read it in device memory,
// so that an update can be part of a graph.
using AdamSteps = std::vector<kernels::AdamStep>;

class Adam {
 public:
  Adam(ParameterStore& store, AdamOptions options);

  // One update with learning rate `lr`. Nothing changes when *ok (device, may be null) is 0.
  void step(double lr, const int* ok = nullptr);

  // The same in parts, for graphs. count() counts the update and says what it needs; the rest only sends kernels, with
  // `steps` as count() gave it, on the device: begin(), update() of any parameters as soon as their gradients are
  // complete (not where the norm of all has to be known first), on any stream, and finish() for all others.
  AdamSteps count(double lr);
  void begin();
  void update(const Parameter& parameter, const kernels::AdamStep* steps, const int* ok, kernels::Stream stream);
  void finish(kernels::AdamStep* steps, const int* ok);
  bool can_update_early() const { return !norm_first(); }
  size_t groups() const { return groups_.size(); }

  long steps() const { return steps_; }
  void set_steps(long steps) { steps_ = steps; }
  double grad_norm();  // of the last update's gradient, before clipping; waits for the device
  double skipped();    // updates so far, as outliers; waits
  bool is_finite();    // whether the last update's gradient was, if it was not skipped; waits

  // What outliers are told by, for checkpoints; empty where they are not looked for.
  std::vector<double> norms() { return history_.size() ? history_.download() : std::vector<double>(); }
  void set_norms(const std::vector<double>& norms) { history_.upload(norms); }

 private:
  struct Group {
    float lr_scale;
    bool decays;
    bool operator==(const Group&) const = default;
  };
  bool norm_first() const { return options_.clip_norm > 0 || options_.outlier_limit > 0; }
  // The parameters in_memory_[first, last), neighbours of one group.
  void update(size_t first, size_t last, const kernels::AdamStep* steps, const int* ok, kernels::Stream stream);

  ParameterStore& store_;
  AdamOptions options_;
  long steps_ = 0;                           // updates done
  std::vector<const Parameter*> in_memory_;  // by offset
  std::vector<size_t> place_;                // by Parameter::index: where in in_memory_
  std::vector<Group> groups_;
  std::vector<size_t> group_;               // by Parameter::index
  std::vector<bool> updated_;               // by Parameter::index, in this update
  DeviceArray<kernels::AdamStep> records_;  // of step()
  DeviceArray<double> square_, squares_;    // Σ g², and its parts
  DeviceArray<double> history_;
  DeviceArray<int> apply_;
};

}  // namespace warpbert
