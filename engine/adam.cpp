#include "adam.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <stdexcept>

namespace warpbert {

Adam::Adam(ParameterStore& store, AdamOptions options)
    : store_(store),
      options_(options),
      updated_(store.parameters().size()),
      records_(store.device(), 2),
      norm_(store.device(), 1),
      workspace_(store.device(), kernels::square_sum_workspace()) {
  for (const Parameter& p : store.parameters()) in_memory_.push_back(&p);
  std::sort(in_memory_.begin(), in_memory_.end(), [](auto* a, auto* b) { return a->offset < b->offset; });
}

double Adam::grad_norm() {
  kernels::square_sum(store_.device().stream(), norm_.data(), workspace_.data(), store_.grads(), store_.size());
  return std::sqrt(norm_.download()[0]);
}

AdamSteps Adam::count(double lr) {
  const double t = double(++steps_), beta1 = options_.beta1, beta2 = options_.beta2;
  const double rate = lr * std::sqrt(1 - std::pow(beta2, t)) / (1 - std::pow(beta1, t));
  return {{{float(rate), float(lr * options_.weight_decay), 1}, {float(rate), 0, 1}}};
}

void Adam::step(double lr, const int* ok) {
  const AdamSteps steps = count(lr);
  records_.upload({steps.begin(), steps.end()});
  begin();
  finish(records_.data(), ok);
}

void Adam::update(size_t begin, size_t end, ParameterKind kind, const kernels::AdamStep* steps, const int* ok,
                  kernels::Stream stream) {
  const bool vectors = kind == ParameterKind::vector;
  bf16* rounded = vectors || !store_.rounded() ? nullptr : store_.rounded() + begin;
  kernels::adam(stream, store_.masters() + begin, rounded, store_.m() + begin, store_.v() + begin,
                store_.grads() + begin, end - begin, options_.beta1, options_.beta2, options_.epsilon, steps + vectors,
                ok);
}

void Adam::update(const Parameter& parameter, const kernels::AdamStep* steps, const int* ok, kernels::Stream stream) {
  if (updated_[parameter.index])
    throw std::logic_error(fmt::format("adam: {} is updated twice in a step; a weight that is used twice has to wait",
                                       parameter.pieces[0].name));
  updated_[parameter.index] = true;
  update(parameter.offset, parameter.offset + parameter.padded_size(), parameter.kind, steps, ok, stream);
}

void Adam::finish(kernels::AdamStep* steps, const int* ok) {
  const kernels::Stream stream = store_.device().stream();
  if (options_.clip_norm > 0) {
    kernels::square_sum(stream, norm_.data(), workspace_.data(), store_.grads(), store_.size());
    kernels::clip(stream, steps, int(AdamSteps().size()), norm_.data(), options_.clip_norm);
  }
  // Neighbours in memory that are left, of one kind, are one launch.
  for (size_t i = 0; i < in_memory_.size();) {
    const Parameter& first = *in_memory_[i];
    size_t end = first.offset;
    while (i < in_memory_.size() && in_memory_[i]->kind == first.kind && !updated_[in_memory_[i]->index])
      end += in_memory_[i++]->padded_size();
    if (end == first.offset) i++;  // was updated early
    else update(first.offset, end, first.kind, steps, ok, stream);
  }
}

}  // namespace warpbert
