// Trials before a long run: both read the files, make the model and take real steps, and write nothing.
#pragma once
#include "train/config/options.h"

namespace warpbert {

// Two steps: their loss, the time of an epoch, the memory by what it is for.
void dry_run(const Options& options);

// Learns the first batch by heart, in `steps` steps over it at the constant rate train.lr, its masks unchanged, dropout
// as it is set. A model, or data, with which that fails cannot learn more either: throws std::runtime_error unless the losses
// of masked tokens and of labels both fall to a tenth of what the best constant answer has.
void overfit_batch(const Options& options, int steps);

}  // namespace warpbert
