// A training run.
#pragma once
#include "train/config/options.h"

namespace warpbert {

// Trains into options.run.directory, in every process of the group. Returns the exit code: 0, or 130 if
// interrupted.
int train(const Options& options);

}  // namespace warpbert
