// Training: from options to a run directory with the best model, the scores of the test pairs, and a report.
#pragma once
#include "train/config/options.h"

namespace warpbert {

// Trains as the options say, into options.run.directory. Returns the exit code.
int train(const Options& options);

}  // namespace warpbert
