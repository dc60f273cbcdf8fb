#include "adam.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <stdexcept>

namespace warpbert {

Adam::Adam(ParameterStore& store, AdamOptions options) : store_(store), options_(options) {
  Device& device = store.device();
  for (const Parameter& p : store.parameters()) {
    in_memory_.push_back(&p);
    const Group group{p.lr_scale, p.kind != ParameterKind::vector && options.weight_decay > 0};
    const auto found = std::find(groups_.begin(), groups_.end(), group);
    group_.push_back(size_t(found - groups_.begin()));
    if (found == groups_.end()) groups_.push_back(group);
  }
  std::sort(in_memory_.begin(), in_memory_.end(), [](auto* a, auto* b) { return a->offset < b->offset; });
  place_.resize(in_memory_.size());
  for (size_t i = 0; i < in_memory_.size(); i++) place_[in_memory_[i]->index] = i;
  updated_.resize(in_memory_.size());
  records_ = DeviceArray<kernels::AdamStep>(device, groups_.size());
  squared_norm_ = DeviceArray<double>(device, std::vector<double>{0});
  // Norm first: workspace of squared_norm. Else a slot per block, and one per parameter, as a launch may
  // start at any.
  squares_ =
      DeviceArray<double>(device, norm_first() ? kernels::squared_norm_workspace()
                                               : kernels::adam_blocks(store.size()) + in_memory_.size());
  if (options.outlier_limit > 0) {
    history_ = DeviceArray<double>(device, std::vector<double>(kernels::norm_history, 0.0));
    do_update_ = DeviceArray<int>(device, 1);
  }
  if (options.ema_decay > 0) store.keep_ema();
}

double Adam::grad_norm() { return std::sqrt(squared_norm_.download()[0]); }

bool Adam::is_finite() { return options_.outlier_limit > 0 || std::isfinite(grad_norm()); }

double Adam::skipped() { return history_.size() ? history_.download().back() : 0; }

AdamSteps Adam::count(double lr) {
  const double t = double(++steps_), beta1 = options_.beta1, beta2 = options_.beta2;
  const double step_size = lr * std::sqrt(1 - std::pow(beta2, t)) / (1 - std::pow(beta1, t));
  const double average = 1 - std::min(options_.ema_decay, (1 + t) / (10 + t));
  AdamSteps steps;
  for (const Group& group : groups_)
    steps.push_back({float(step_size * group.lr_scale),
                     group.decays ? float(lr * group.lr_scale * options_.weight_decay) : 0.0f, 1,
                     float(average)});
  return steps;
}

void Adam::step(double lr, const int* finite) {
  records_.upload(count(lr));
  begin();
  finish(records_.data(), finite);
}

void Adam::begin() {
  updated_.assign(updated_.size(), false);
  store_.device().zero(squares_.data(), squares_.size() * sizeof(double));
}

void Adam::update_run(size_t first, size_t last, const kernels::AdamStep* steps, const int* do_update,
                      kernels::Stream stream) {
  const Parameter& p = *in_memory_[first];
  const Parameter& end = *in_memory_[last - 1];
  double* const squares =
      norm_first() ? nullptr : squares_.data() + p.offset / kernels::adam_values_a_block + first;
  update_values(p, p.offset, end.offset + end.padded_size(), squares, steps, do_update, stream);
}

void Adam::update_values(const Parameter& p, size_t offset, size_t end, double* squares,
                         const kernels::AdamStep* steps, const int* do_update, kernels::Stream stream) {
  const bool rounded = store_.rounded() && p.kind != ParameterKind::vector;
  kernels::AdamArrays arrays{store_.master_weights() + offset, rounded ? store_.rounded() + offset : nullptr,
                             store_.m() + offset, store_.v() + offset, store_.grads() + offset};
  if (store_.ema_weights()) arrays.average = store_.ema_weights() + offset;
  arrays.squares = squares;
  kernels::adam(stream, arrays, end - offset, {options_.beta1, options_.beta2, options_.epsilon},
                steps + group_[p.index], do_update);
}

void Adam::update(const Parameter& parameter, const kernels::AdamStep* steps, const int* finite,
                  kernels::Stream stream) {
  if (updated_[parameter.index])
    throw std::logic_error(
        fmt::format("adam: {} is updated twice in a step; a weight that is used twice has to wait",
                    parameter.pieces[0].name));
  updated_[parameter.index] = true;
  const size_t place = place_[parameter.index];
  update_run(place, place + 1, steps, finite, stream);
}

const int* Adam::clip_and_filter(kernels::AdamStep* steps, const int* finite, kernels::Stream stream) {
  const int* do_update = finite;
  if (options_.outlier_limit > 0) {
    kernels::reject_outlier(stream, do_update_.data(), history_.data(), squared_norm_.data(), finite,
                            options_.outlier_limit);
    do_update = do_update_.data();
  }
  if (options_.clip_norm > 0)
    kernels::clip(stream, steps, int(groups_.size()), squared_norm_.data(), options_.clip_norm);
  return do_update;
}

template <class F>
void Adam::for_each_run(F f) const {
  const auto like = [&](const Parameter& a, const Parameter& b) {
    return a.kind == b.kind && group_[a.index] == group_[b.index];
  };
  for (size_t i = 0; i < in_memory_.size();) {
    const size_t first = i;
    while (i < in_memory_.size() && like(*in_memory_[i], *in_memory_[first]) &&
           !updated_[in_memory_[i]->index])
      i++;
    if (i == first) i++;  // already updated
    else f(first, i);
  }
}

void Adam::finish(kernels::AdamStep* steps, const int* finite) {
  const kernels::Stream stream = store_.device().stream();
  if (norm_first())
    kernels::squared_norm(stream, squared_norm_.data(), squares_.data(), store_.grads(), store_.size());
  const int* do_update = clip_and_filter(steps, finite, stream);
  for_each_run([&](size_t first, size_t last) { update_run(first, last, steps, do_update, stream); });
  if (!norm_first()) kernels::sum(stream, squared_norm_.data(), squares_.data(), squares_.size());
}

void Adam::update_slice(const kernels::AdamStep* steps, const int* do_update, size_t begin, size_t end,
                        kernels::Stream stream) {
  for_each_run([&](size_t first, size_t last) {
    const Parameter &p = *in_memory_[first], &q = *in_memory_[last - 1];
    const size_t from = std::max(begin, p.offset), to = std::min(end, q.offset + q.padded_size());
    if (from < to) update_values(p, from, to, nullptr, steps, do_update, stream);
  });
}

}  // namespace warpbert
