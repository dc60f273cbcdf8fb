// Rungs 1 to 4, below the shipped kernel (docs/study.md); they store the gradient beside the logits.
#pragma once
#include "kernels/kernels.h"

namespace warpbert::ladders {

// Returns `dlogits`: [M, ld]. `statistics`: [2, M], maxima and sums between the kernels of rung 1.
using CrossEntropy = kernels::View(kernels::Stream, float* loss, kernels::View dlogits, float* statistics,
                                   const kernels::CrossEntropyArgs&);

CrossEntropy cross_entropy_four_kernels;
CrossEntropy cross_entropy_three_walks;
CrossEntropy cross_entropy_online;
CrossEntropy cross_entropy_vectors;

}  // namespace warpbert::ladders
