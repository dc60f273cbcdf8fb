// Training: from options to a run directory with the best model, the scores of the test pairs, and a report.
#pragma once
#include "options.h"

namespace warpbert {

// Trains as the options say, into options.run.directory. dry_run: checks everything, runs one step, writes nothing.
// Returns the exit code.
int train(const Options& options, bool dry_run);

}  // namespace warpbert
