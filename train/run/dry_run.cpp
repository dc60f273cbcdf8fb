#include "dry_run.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <map>
#include <stdexcept>

#include "disk_space.h"
#include "io/format.h"
#include "progress.h"
#include "run_directory.h"
#include "train/step/training.h"

namespace warpbert {

using Clock = std::chrono::steady_clock;

void dry_run(const Options& options) {
  Session session(RunSetup(options, saved_shards(options)));
  ModelSteps steps = make_steps(session);
  const double lr = session.options().train.lr, parameters = io::mib(session.device().bytes_allocated());
  Loader loader = make_loader(session);
  check_disk_space(session);
  steps.train.take(loader.next_step(), lr);
  const LossSums sums = steps.train.take_losses();
  const auto begin = Clock::now();  // after allocation and autotuning
  steps.train.take(loader.next_step(), lr);
  steps.train.take_losses();
  const double seconds = io::seconds_since(begin);
  const int epoch_steps = loader.steps_per_epoch();
  fmt::print("step      {}; the second took {:.3g} s, so an epoch of {} steps takes some {}\n",
             losses_text(sums.loss(), sums.loss_mlm(), sums.loss_cls()), seconds, epoch_steps,
             io::duration_text(seconds * epoch_steps));
  const int shards = local_shards(session.options().train).local();
  steps.train.take(std::vector<Batch>(size_t(shards), longest_training_batch(session)), lr);
  const size_t in_training = steps.resources.arena.high_water();
  if (const Batch longest = longest_scoring_batch(session); longest.sequences)
    steps.score.log_probabilities(longest);
  const bool in_scoring = steps.resources.arena.high_water() > in_training;
  fmt::print(
      "memory    {:.1f} MiB on the device at most, {:.1f} of them for weights, gradients and Adam's means;\n "
      "         a batch of the longest pairs, {}:\n{}",
      io::mib(session.device().bytes_high_water()), parameters, in_scoring ? "when scoring" : "in training",
      steps.resources.arena.report());
}

namespace {

// Achievable losses of a target group (0 masked tokens, 1 [CLS]), nats per target.
struct Predictable {
  double constant = 0;  // best constant prediction: entropy of the mean target
  double least = 0;     // lower bound: mean entropy of a target; > 0 for soft labels
};

Predictable predictable(const std::vector<Batch>& micro_batches, int group) {
  const auto entropy = [](double p) { return p > 0 ? -p * std::log(p) : 0; };
  std::map<int, double> mean;
  Predictable p;
  int n = 0;
  for (const Batch& micro_batch : micro_batches)
    for (int m = 0; m < micro_batch.targets; m++) {
      const kernels::Target& t = micro_batch.target[size_t(m)];
      if (t.group != group) continue;
      const double w = t.other_weight;
      mean[t.token] += 1 - w, mean[t.other] += w;
      p.least += entropy(w) + entropy(1 - w);
      n++;
    }
  for (const auto& [token, weight] : mean) p.constant += entropy(weight / n);
  if (n) p.least /= n;
  return p;
}

// Lower bound plus a tenth of the distance to the best constant prediction; for equal targets, to the first
// loss.
double loss_limit(const Predictable& p, double first) {
  const double from = p.constant - p.least > 1e-6 ? p.constant : first;
  return p.least + (from - p.least) / 10;
}

}  // namespace

void overfit_batch(const Options& options, int most_steps) {
  Session session(RunSetup(options, saved_shards(options)));
  ModelSteps steps = make_steps(session);
  const double lr = session.options().train.lr;
  const std::vector<Batch> batch = make_loader(session).next_step();
  if (std::none_of(batch.begin(), batch.end(),
                   [](const Batch& micro_batch) { return micro_batch.targets > 0; }))
    throw std::runtime_error(
        "the first batch has no target, neither a masked token nor a label; a larger train.batch or "
        "mask.probability gives it some");
  const auto begin = Clock::now();
  LossSums first, last;
  for (int step = 1, shown = 1; step <= most_steps; step++) {
    steps.train.take(batch, lr);
    const LossSums sums = steps.train.take_losses();
    if (step != shown && step != most_steps) continue;
    last = sums;
    if (step == 1) first = last;
    fmt::print("step {:>5}  {}  gradient norm {:.3g}  {}\n", step,
               losses_text(last.loss(), last.loss_mlm(), last.loss_cls()), steps.train.grad_norm(),
               io::duration_text(io::seconds_since(begin)));
    shown = shown < 10 ? 10 : shown + (shown < 100 ? 10 : 50);
  }
  const auto check = [&](const char* what, int group, double targets, double was, double is) {
    if (!targets) return;
    const Predictable p = predictable(batch, group);
    const double limit = loss_limit(p, was);
    if (is <= limit) return;
    throw std::runtime_error(
        fmt::format("the first batch is not overfitted: the loss of its {} was {:.4f} and is {:.4f} after {} "
                    "steps, more than {:.4f}, a tenth of what is reached without looking at the pairs; try "
                    "more steps or another train.lr, and look at the data",
                    what, was, is, most_steps, limit));
  };
  check("masked tokens", 0, first.mlm_targets, first.loss_mlm(), last.loss_mlm());
  check("labels", 1, first.cls_targets, first.loss_cls(), last.loss_cls());
  fmt::print("overfit   the loss of the first batch fell from {:.4f} to {:.4f}\n", first.loss(), last.loss());
}

}  // namespace warpbert
