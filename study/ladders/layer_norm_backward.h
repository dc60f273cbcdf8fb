// The ladder of layer_norm_backward: the rungs below the shipped kernel, with its signature. They take float,
// without dropout.
#pragma once
#include "kernels/kernels.h"

namespace warpbert::ladders {

using NormBackward = void(kernels::Stream, kernels::GradView dx, float* partials, kernels::View dy,
                          const kernels::NormArgs&);

NormBackward layer_norm_backward_thread;  // 1: a thread a row
NormBackward layer_norm_backward_block;   // 2: a block a row, trees in shared memory
NormBackward layer_norm_backward_warp;    // 3: a warp a row, which it keeps in registers

}  // namespace warpbert::ladders
