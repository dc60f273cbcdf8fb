// What every training is made of, as the options of a session want it: the steps, and the batches.
#pragma once
#include <memory>

#include "session.h"
#include "step.h"
#include "train/data/loader.h"

namespace warpbert {

std::unique_ptr<Stepper> make_stepper(Session& session);

// Batches of the session's training pairs from step `step` (from 0) of epoch `epoch` (from 1) on.
Loader make_loader(const Session& session, int epoch = 1, int step = 0);

// The longest pairs that a step, or scoring, can meet at once: what memory has to hold. The second has no rows where
// there is nothing to score.
Batch longest_training_batch(const Session& session);
Batch longest_scoring_batch(const Session& session);

// Floating-point operations of the matrix products of one step over `batch`, attention's included: a product of m, n
// and k takes 2·m·n·k, forward once and backward twice.
double step_flops(const Batch& batch, const BertConfig& config);

}  // namespace warpbert
