// Adam over a parameter store, in Keras's form (kernels.h, adam). Biases and gains are never decayed.
#pragma once
#include "parameters.h"

namespace warpbert {

struct AdamOptions {
  float beta1 = 0.9f, beta2 = 0.999f, epsilon = 1e-7f;
  float weight_decay = 0;  // decoupled
  float clip_norm = 0;     // the gradient is scaled down to this global norm; 0: off
};

class Adam {
 public:
  Adam(ParameterStore& store, AdamOptions options);

  // One update with learning rate `lr`. Nothing changes when *ok (device, may be null) is 0.
  void step(double lr, const int* ok = nullptr);

  long steps() const { return steps_; }
  void set_steps(long steps) { steps_ = steps; }
  double grad_norm();  // of the gradients as they stand: a pass over them, and a wait

 private:
  ParameterStore& store_;
  AdamOptions options_;
  long steps_ = 0;                          // updates done
  DeviceArray<kernels::AdamStep> records_;  // decayed, not decayed
  DeviceArray<double> norm_, workspace_;
};

}  // namespace warpbert
