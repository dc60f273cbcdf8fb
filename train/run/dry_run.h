// Checks before a long run: real data, model and steps; nothing is written.
#pragma once
#include "train/config/options.h"

namespace warpbert {

// Prints the first loss, the time of an epoch, and memory by purpose.
void dry_run(const Options& options);

// Overfits the first batch as a sanity check: at most `most_steps` steps, constant train.lr, fixed masks,
// dropout as set. Throws std::runtime_error unless the losses of masked tokens and labels both fall to a
// tenth of the best constant prediction's.
void overfit_batch(const Options& options, int most_steps);

}  // namespace warpbert
