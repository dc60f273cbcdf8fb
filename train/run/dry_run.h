// Checks before a long run: both read the files, make the model, take real steps and write nothing.
#pragma once
#include "train/config/options.h"

namespace warpbert {

// Takes a few steps; prints the first loss, the time of an epoch, and memory by purpose.
void dry_run(const Options& options);

// Overfits the first batch as a sanity check: at most `most_steps` steps at constant train.lr, fixed masks,
// dropout as set. Throws std::runtime_error unless the losses of masked tokens and of labels both fall to a
// tenth of the best constant prediction's. A model or data that fails this cannot learn more.
void overfit_batch(const Options& options, int most_steps);

}  // namespace warpbert
