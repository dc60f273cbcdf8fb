// Training steps and batches as a session's options define them.
#pragma once
#include "model_steps.h"
#include "session.h"
#include "train/data/loader.h"

namespace warpbert {

ModelSteps make_steps(Session& session);

Shards local_shards(const TrainOptions& options);

// `epoch` counts from 1, `step` from 0.
Loader make_loader(const Session& session, int epoch = 1, int step = 0);

// Training rows scored beside the validation rows to compare log losses: labelled and smoothed, as many, at
// most 2,000, evenly spread.
std::vector<Example> training_sample(const Session& session);

// Longest pairs, which determine peak memory; the second is empty if nothing is scored.
Batch longest_training_batch(const Session& session);
Batch longest_scoring_batch(const Session& session);

// FLOPs of GEMMs and attention in one step: 2·m·n·k per product, once forward, twice backward.
double step_flops(const Batch& batch, const BertConfig& config);

}  // namespace warpbert
