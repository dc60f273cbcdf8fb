// The ladder of squared_norm: the rungs below the shipped kernel (kernels/reduce.cu), with its signature.
#pragma once
#include "kernels/kernels.h"

namespace warpbert::ladders {

using SquaredNorm = void(kernels::Stream, double* out, double* workspace, const float* x, size_t n);

SquaredNorm squared_norm_atomic;        // 1: each thread adds its square to one cell
SquaredNorm squared_norm_tree;          // 2: a block adds in shared memory, then to the cell
SquaredNorm squared_norm_two_launches;  // 3: blocks store their sums, a second launch adds them

}  // namespace warpbert::ladders
