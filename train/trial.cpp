#include "trial.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <stdexcept>

#include "progress.h"
#include "training.h"

namespace warpbert {

using Clock = std::chrono::steady_clock;

void dry_run(const Options& options) {
  Session session(options);
  session.load();
  const auto stepper = make_stepper(session);
  const double rate = session.options().train.lr, parameters = mib(session.device().bytes_allocated());
  Loader loader = make_loader(session);
  stepper->train(loader.next_step(), rate);
  const LossSums sums = stepper->take_losses();
  const auto begin = Clock::now();  // the first step allocated memory and chose algorithms
  stepper->train(loader.next_step(), rate);
  stepper->take_losses();
  const double seconds = seconds_since(begin);
  const int steps = loader.steps_per_epoch();
  fmt::print("step      {}; the second took {:.3g} s, so an epoch of {} steps takes some {}\n",
             losses_text(sums.loss(), sums.loss_mlm(), sums.loss_cls()), seconds, steps,
             duration_text(seconds * steps));
  stepper->train(longest_training_batch(session), rate);
  const size_t in_training = std::max(stepper->arena().used(), stepper->arena().high_water());
  if (const Batch longest = longest_scoring_batch(session); longest.sequences) stepper->log_probabilities(longest);
  const bool in_scoring = std::max(stepper->arena().used(), stepper->arena().high_water()) > in_training;
  fmt::print(
      "memory    {:.1f} MiB on the device at most, {:.1f} of them for weights, gradients and Adam's means;\n"
      "          a batch of the longest pairs, {}:\n{}",
      mib(session.device().bytes_high_water()), parameters, in_scoring ? "when scoring" : "in training",
      stepper->arena().report());
}

void overfit_batch(const Options& options, int steps) {
  Session session(options);
  session.load();
  const auto stepper = make_stepper(session);
  const double rate = session.options().train.lr;
  const std::vector<Batch> batch = make_loader(session).next_step();
  const auto begin = Clock::now();
  double first = 0, last = 0;
  for (int step = 1, shown = 1; step <= steps; step++) {
    stepper->train(batch, rate);
    const LossSums sums = stepper->take_losses();
    if (step != shown && step != steps) continue;
    last = sums.loss();
    if (step == 1) first = last;
    fmt::print("step {:>5}  {}  gradient norm {:.3g}  {}\n", step, losses_text(last, sums.loss_mlm(), sums.loss_cls()),
               stepper->grad_norm(), duration_text(seconds_since(begin)));
    shown = shown < 10 ? 10 : shown + (shown < 100 ? 10 : 50);
  }
  if (!(last <= first / 10))
    throw std::runtime_error(fmt::format(
        "the first batch is not learnt by heart: its loss was {:.4f} and is {:.4f} after {} steps; try more "
        "steps or another train.lr, and look at the data",
        first, last, steps));
  fmt::print("learnt    the loss of the first batch fell from {:.4f} to {:.4f}\n", first, last);
}

}  // namespace warpbert
