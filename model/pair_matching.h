// Pair matching as masked language modelling: the input is [CLS] a [SEP] b [SEP]; at [CLS] the model predicts the token
// [YES] or [NO], at masked tokens the token that was there, and all targets of a batch share one mean loss.
#pragma once
#include "bert.h"

namespace warpbert {

// What a batch is to predict; all pointers on the device.
struct Targets {
  kernels::Rows rows;              // M
  const int* index;                // [M] row of the packed batch, ascending
  const kernels::Target* targets;  // [M]
  const float* scale;              // 1 / targets of the whole (accumulated) batch
};

// Loss of each target, and the start of backward.                                                        -> [M], device
float* pair_matching_loss(Tape&, const Bert&, const Packing&, const Targets&);

// {log p[NO], log p[YES]} of each pair at its [CLS], probabilities over the whole vocabulary; cls: [B], device, the
// rows of the [CLS] tokens.                                                                           -> [B, 2], device
float* pair_matching_log_probabilities(Tape&, const Bert&, const Packing&, const int* cls, kernels::Rows pairs, int no,
                                       int yes);

}  // namespace warpbert
