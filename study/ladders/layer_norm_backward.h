// Rungs 1 to 3, below the shipped kernel (docs/study.md), in float without dropout.
#pragma once
#include "kernels/kernels.h"

namespace warpbert::ladders {

using NormBackward = void(kernels::Stream, kernels::GradView dx, float* partials, kernels::View dy,
                          const kernels::NormArgs&);

NormBackward layer_norm_backward_thread;
NormBackward layer_norm_backward_block;
NormBackward layer_norm_backward_warp;

}  // namespace warpbert::ladders
