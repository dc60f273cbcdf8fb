// Pair matching as masked language modelling: from [CLS] a [SEP] b [SEP] the model predicts [YES] or [NO] at
// [CLS] and the original tokens at masked positions. All targets share one mean loss.
#pragma once
#include "bert.h"

namespace warpbert {

// Prediction targets of a batch; device pointers.
struct Targets {
  kernels::Rows rows;              // M
  const int* index;                // [M] row of the packed batch, ascending
  const kernels::Target* targets;  // [M]
  const float* scale;              // 1 / number of targets in the whole (accumulated) batch
};

// Loss of each target; backward starts here.                                       -> [M], device
float* pair_matching_loss(Tape&, const Bert&, const Packing&, const Targets&);

// {log p[NO], log p[YES]} of each pair, over the whole vocabulary.                 -> [B, 2], device
// cls: [B], device, rows of the [CLS] tokens.
float* pair_matching_log_probabilities(Tape&, const Bert&, const Packing&, const int* cls,
                                       kernels::Rows pairs, int no, int yes);

}  // namespace warpbert
