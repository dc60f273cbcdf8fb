// From [CLS] a [SEP] b [SEP] the model predicts [YES] or [NO] at [CLS] and the original tokens at masked
// positions, with one mean loss.
#pragma once
#include "bert.h"

namespace warpbert {

// Device pointers.
struct Targets {
  kernels::Rows rows;              // M
  const int* index;                // [M] row of the packed batch, ascending
  const kernels::Target* targets;  // [M]
  const float* scale;              // 1 / targets of the whole (accumulated) batch
};

// Loss per target; backward starts here.                                           -> [M], device
float* pair_matching_loss(Tape&, const Bert&, const Packing&, const Targets&);

// {log p[NO], log p[YES]}, over the whole vocabulary. cls: [B], device, [CLS] rows.
//                                                                                  -> [B, 2], device
float* pair_matching_log_probabilities(Tape&, const Bert&, const Packing&, const int* cls,
                                       kernels::Rows pairs, int no, int yes);

}  // namespace warpbert
