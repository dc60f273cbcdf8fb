// The ladder of cross_entropy: the rungs below the shipped kernel. They store the gradient beside the logits.
#pragma once
#include "kernels/kernels.h"

namespace warpbert::ladders {

// Returns `dlogits`: [M, ld]. `statistics`: [2, M], maxima and sums between the kernels of rung 1.
using CrossEntropy = kernels::View(kernels::Stream, float* loss, kernels::View dlogits, float* statistics,
                                   const kernels::CrossEntropyArgs&);

CrossEntropy cross_entropy_four_kernels;  // 1: maximum, sum, loss, gradient
CrossEntropy cross_entropy_three_walks;   // 2: one kernel, which walks the row three times
CrossEntropy cross_entropy_online;        // 3: maximum and sum in one walk
CrossEntropy cross_entropy_vectors;       // 4: eight columns a thread, shuffles

}  // namespace warpbert::ladders
