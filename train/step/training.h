// Training steps and batches as a session's options define them.
#pragma once
#include "model_steps.h"
#include "session.h"
#include "train/data/loader.h"

namespace warpbert {

ModelSteps make_steps(Session& session);

// The shards of this process.
Shards local_shards(const TrainOptions& options);

// Training batches from `step` (from 0) of `epoch` (from 1) on.
Loader make_loader(const Session& session, int epoch = 1, int step = 0);

// Labelled training rows, labels smoothed as in training, that are scored beside the validation rows, so that
// log losses compare: as many, at most 2,000, evenly spread.
std::vector<Example> training_sample(const Session& session);

// The longest pairs in one batch, which determine peak memory. The second is empty if nothing is scored.
Batch longest_training_batch(const Session& session);
Batch longest_scoring_batch(const Session& session);

// FLOPs of one step's GEMMs and attention: 2·m·n·k per product. GEMMs run once forward and twice backward.
double step_flops(const Batch& batch, const BertConfig& config);

}  // namespace warpbert
