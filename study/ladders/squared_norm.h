// Rungs 1 to 3, below the shipped kernel (docs/study.md).
#pragma once
#include "kernels/kernels.h"

namespace warpbert::ladders {

using SquaredNorm = void(kernels::Stream, double* out, double* workspace, const float* x, size_t n);

SquaredNorm squared_norm_atomic;
SquaredNorm squared_norm_tree;
SquaredNorm squared_norm_two_launches;

}  // namespace warpbert::ladders
