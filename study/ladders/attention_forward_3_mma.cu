// Rungs 3 and 4: tensor cores. ldmatrix takes eight rows of 16 bytes a pass if they are in different banks.
// With a stride of D elements they start in one bank (rung 3), with D + 8 in eight groups of four (rung 4).
#include "attention_forward.cuh"

namespace warpbert::ladders {

template <int D, int stride>
static __global__ void mma_kernel(AttentionRows a) {
  auto& s = shared<Scores>();
  auto& q = shared<bf16[16 * stride], 1>();
  auto& tile = shared<bf16[16 * stride], 2>();  // of k, then of v
  if (is_padding_block()) return zero_padding<D>(a);
  const Place at = place(a.starts);
  if (at.start >= at.length) return;
  const int lane = int(threadIdx.x), g = lane / 4, t = lane % 4, queries = min(16, at.length - at.start);

  load_tile<D, stride>(q, a, at, at.start, 0, queries);
  for (int key0 = 0; key0 < at.length; key0 += 16) {
    __syncthreads();  // reads of the last tile are done
    load_tile<D, stride>(tile, a, at, key0, 1, min(16, at.length - key0));
    __syncthreads();  // the tile is stored
    float c[2][4] = {};
    for (int d = 0; d < D; d += 16) {
      uint32_t x[4], y[4];
      ldmatrix_x4(x, q + lane % 16 * stride + lane / 16 * 8 + d);
      ldmatrix_x4(y, tile + (lane % 8 + lane / 16 * 8) * stride + lane / 8 % 2 * 8 + d);
      mma_m16n8k16_bf16(c[0], x, {y[0], y[1]}, c[0]);
      mma_m16n8k16_bf16(c[1], x, {y[2], y[3]}, c[1]);
    }
    for (int i = 0; i < 8; i++) c[i / 4][i % 4] *= kernels::score_scale<D>;
    for (int n = 0; n < 2; n++) {
      kernels::store_pair(&s[g][key0 + n * 8 + t * 2], c[n][0], c[n][1]);
      kernels::store_pair(&s[g + 8][key0 + n * 8 + t * 2], c[n][2], c[n][3]);
    }
  }
  __syncthreads();  // scores are stored
  softmax(s, a, at, queries);

  float out[D / 8][4] = {};
  for (int key0 = 0; key0 < at.length; key0 += 16) {
    __syncthreads();  // probabilities are stored, reads of the last tile are done
    load_tile<D, stride>(tile, a, at, key0, 2, min(16, at.length - key0));
    __syncthreads();  // the tile is stored
    uint32_t p[4];
    for (int i = 0; i < 4; i++) {
      const float2 pair = *reinterpret_cast<const float2*>(&s[g + i % 2 * 8][key0 + i / 2 * 8 + t * 2]);
      p[i] = pack_bf16(pair.x, pair.y);
    }
    for (int n = 0; n < D / 8; n += 2) {
      uint32_t y[4];
      ldmatrix_x4_trans(y, tile + lane % 16 * stride + lane / 16 * 8 + n * 8);
      mma_m16n8k16_bf16(out[n], p, {y[0], y[1]}, out[n]);
      mma_m16n8k16_bf16(out[n + 1], p, {y[2], y[3]}, out[n + 1]);
    }
  }
  kernels::store_sum<D>(locate<D>(a.out, at, at.start, 0, 1), at.heads * D, queries, out, 1, 1);
}

void attention_forward_mma(kernels::Stream stream, kernels::View out, float*,
                           const kernels::AttentionArgs& args) {
  with_grid(out, args, [&]<int D>(const AttentionRows& a, dim3 grid) {
    launch<mma_kernel<D, D>>(grid, 32, 0, stream, a);
  });
}

void attention_forward_padded(kernels::Stream stream, kernels::View out, float*,
                              const kernels::AttentionArgs& args) {
  with_grid(out, args, [&]<int D>(const AttentionRows& a, dim3 grid) {
    launch<mma_kernel<D, D + 8>>(grid, 32, 0, stream, a);
  });
}

}  // namespace warpbert::ladders
