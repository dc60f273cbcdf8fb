#include "adam.h"

#include <algorithm>
#include <cmath>

namespace warpbert {

Adam::Adam(ParameterStore& store, AdamOptions options)
    : store_(store),
      options_(options),
      records_(store.device(), 2),
      norm_(store.device(), 1),
      workspace_(store.device(), kernels::square_sum_workspace()) {}

double Adam::grad_norm() {
  Device& device = store_.device();
  kernels::square_sum(device.stream(), norm_.data(), workspace_.data(), store_.grads(), store_.size());
  return std::sqrt(norm_.download()[0]);
}

void Adam::step(double lr, const int* ok) {
  Device& device = store_.device();
  steps_++;
  const double t = double(steps_);
  const double rate =
      lr * std::sqrt(1 - std::pow(double(options_.beta2), t)) / (1 - std::pow(double(options_.beta1), t));
  const double scale = options_.clip_norm > 0 ? std::min(1.0, options_.clip_norm / std::max(grad_norm(), 1e-30)) : 1.0;
  const kernels::AdamStep plain{float(rate), 0, float(scale)};
  const kernels::AdamStep decayed{float(rate), float(lr * options_.weight_decay), float(scale)};
  records_.upload({decayed, plain});

  const auto update = [&](size_t begin, size_t end, bool vectors) {
    if (begin == end) return;
    bf16* rounded = vectors || !store_.rounded() ? nullptr : store_.rounded() + begin;
    kernels::adam(device.stream(), store_.masters() + begin, rounded, store_.m() + begin, store_.v() + begin,
                  store_.grads() + begin, end - begin, options_.beta1, options_.beta2, options_.epsilon,
                  records_.data() + vectors, ok);
  };
  update(0, store_.vectors_begin(), false);
  update(store_.vectors_begin(), store_.vectors_end(), true);
  update(store_.vectors_end(), store_.size(), false);
}

}  // namespace warpbert
