// The ladder of attention_forward: the rungs below the shipped kernel. They take bf16, without dropout.
#pragma once
#include "kernels/kernels.h"

namespace warpbert::ladders {

// `scores`: [heads, capacity, max_length], between the kernels of rung 1.
using AttentionForward = void(kernels::Stream, kernels::View out, float* scores,
                              const kernels::AttentionArgs&);

AttentionForward attention_forward_in_memory;  // 1: scores in device memory
AttentionForward attention_forward_fma;        // 2: tiles and scores in shared memory
AttentionForward attention_forward_mma;        // 3: tensor cores, rows of D elements
AttentionForward attention_forward_padded;     // 4: rows of D + 8 elements

}  // namespace warpbert::ladders
