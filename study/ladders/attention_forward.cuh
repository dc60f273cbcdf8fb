// Arguments of the rungs' kernels. A block is one warp, for 16 queries of a sequence and a head; blocks with
// the last y zero the padding rows.
#pragma once
#include "attention_forward.h"
#include "kernels/attention.cuh"

namespace warpbert::ladders {

using kernels::Float8, kernels::Place, kernels::Rows, kernels::is_padding_block, kernels::locate,
    kernels::place;

struct AttentionRows {
  bf16* out;
  float* lse;
  const bf16* qkv;
  const float* bias;
  const int* starts;
  Rows rows;
};

// Element d of q, k or v (part 0, 1, 2) of a row: with its bias, rounded.
template <int D>
__device__ bf16 element(const AttentionRows& a, const Place& at, int row, int part, int d) {
  const bf16 x = locate<D>(a.qkv, at, row, part, 3)[d];
  return to_bf16(to_float(x) + a.bias[(part * at.heads + at.head) * D + d]);
}

template <int D>
__device__ void zero_padding(const AttentionRows& a) {
  if (blockIdx.z > 0) return;
  kernels::zero_padding<D>(a.out + blockIdx.x * D, int(gridDim.x) * D, a.rows);
  for (int i = *a.rows.count + int(threadIdx.x); i < a.rows.capacity; i += 32)
    a.lse[size_t(blockIdx.x) * a.rows.capacity + i] = 0;
}

// Loads 16 rows of q, k or v, `count` of them real, the others 0.
template <int D, int stride>
__device__ void load_tile(bf16* tile, const AttentionRows& a, const Place& at, int row0, int part,
                          int count) {
  for (int i = int(threadIdx.x); i < 16 * D / 8; i += 32) {
    const int row = i / (D / 8), column = i % (D / 8) * 8;
    Float8 x = {};
    if (row < count) {
      x = kernels::load8(locate<D>(a.qkv, at, row0 + row, part, 3) + column);
      x += kernels::load8(a.bias + (part * at.heads + at.head) * D + column);
    }
    kernels::store8(tile + row * stride + column, x);
  }
}

// Scores of 16 queries; eight columns more, so that rows start in different banks.
using Scores = float[16][kernels::max_attention_length + 8];

// Softmax of `queries` rows of a sequence's scores, 0 in the keys up to a multiple of 16.
__device__ inline void softmax(Scores& s, const AttentionRows& a, const Place& at, int queries) {
  const int lane = int(threadIdx.x);
  for (int r = 0; r < queries; r++) {
    float max = -INFINITY, sum = 0;
    for (int key = lane; key < at.length; key += 32) max = fmaxf(max, s[r][key]);
    max = warp_max(max);
    for (int key = lane; key < at.length; key += 32) sum += expf(s[r][key] - max);
    sum = warp_sum(sum);
    for (int key = lane; key < kernels::round_up_16(at.length); key += 32) {
      const float p = key < at.length ? expf(s[r][key] - max) / sum : 0;
      s[r][key] = p;
    }
    if (lane == 0) a.lse[size_t(at.head) * a.rows.capacity + at.first + at.start + r] = max + logf(sum);
  }
}

// Calls f.operator()<D>() with the grid of the blocks above.
template <class F>
void with_grid(const kernels::View& out, const kernels::AttentionArgs& args, F f) {
  kernels::check_attention("attention_forward", args, {out});
  const AttentionRows a = {out.as<bf16>(),        args.lse,     args.qkv.as<bf16>(), args.bias,
                           args.sequences.starts, args.qkv.rows};
  const dim3 grid(args.heads, args.sequences.count + 1, std::max(1, (args.sequences.max_length + 15) / 16));
  if (out.rows.capacity == 0) return;
  kernels::with_one_of<16, 32, 64, 128>(kernels::head_size(args),
                                        [&]<int D>() { f.template operator()<D>(a, grid); });
}

}  // namespace warpbert::ladders
