// Adam over a parameter store, in Keras's form (kernels.h, adam). Biases and gains are never decayed.
#pragma once
#include <array>
#include <vector>

#include "parameters.h"

namespace warpbert {

struct AdamOptions {
  float beta1 = 0.9f, beta2 = 0.999f, epsilon = 1e-7f;
  float weight_decay = 0;  // decoupled
  float clip_norm = 0;     // the gradient is scaled down to this global norm; 0: off
};

// What changes from update to update, for matrices and embeddings, and for vectors; the kernels read it in device
// memory, so that an update can be part of a graph.
using AdamSteps = std::array<kernels::AdamStep, 2>;

class Adam {
 public:
  Adam(ParameterStore& store, AdamOptions options);

  // One update with learning rate `lr`. Nothing changes when *ok (device, may be null) is 0.
  void step(double lr, const int* ok = nullptr);

  // The same in parts, for graphs. count() counts the update and says what it needs; the rest only sends kernels, with
  // `steps` as count() gave it, on the device: begin(), update() of any parameters as soon as their gradients are
  // complete (not with clip_norm, which needs them all), on any stream, and finish() for all others.
  AdamSteps count(double lr);
  void begin() { updated_.assign(updated_.size(), false); }
  void update(const Parameter& parameter, const kernels::AdamStep* steps, const int* ok, kernels::Stream stream);
  void finish(kernels::AdamStep* steps, const int* ok);
  bool can_update_early() const { return options_.clip_norm == 0; }

  long steps() const { return steps_; }
  void set_steps(long steps) { steps_ = steps; }
  double grad_norm();  // of the gradients as they stand: a pass over them, and a wait

 private:
  void update(size_t begin, size_t end, ParameterKind kind, const kernels::AdamStep* steps, const int* ok,
              kernels::Stream stream);

  ParameterStore& store_;
  AdamOptions options_;
  long steps_ = 0;                           // updates done
  std::vector<const Parameter*> in_memory_;  // by offset
  std::vector<bool> updated_;                // by Parameter::index, in this update
  DeviceArray<kernels::AdamStep> records_;   // of step()
  DeviceArray<double> norm_, workspace_;
};

}  // namespace warpbert
