// Scores of pairs by a model: evaluation, and the score files.
#pragma once
#include <span>
#include <string>
#include <vector>

#include "batch.h"
#include "options.h"
#include "step.h"

namespace warpbert {

// One score an example, in order; the pairs go through the model unmasked, in packed batches.
std::vector<float> score_pairs(Stepper& stepper, const TokenPairs& pairs, std::span<const Example> examples,
                               const PredictOptions& options);

// One score a line, %.9g: enough digits to give the same float back. Atomic.
void write_scores(const std::string& path, std::span<const float> scores);

}  // namespace warpbert
