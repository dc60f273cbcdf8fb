// Rungs 1 to 4, below the shipped kernel (docs/study.md), in bf16 without dropout.
#pragma once
#include "kernels/kernels.h"

namespace warpbert::ladders {

// `scores`: [heads, capacity, max_length], between the kernels of rung 1.
using AttentionForward = void(kernels::Stream, kernels::View out, float* scores,
                              const kernels::AttentionArgs&);

AttentionForward attention_forward_in_memory;
AttentionForward attention_forward_fma;
AttentionForward attention_forward_mma;
AttentionForward attention_forward_padded;

}  // namespace warpbert::ladders
