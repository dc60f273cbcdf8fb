// Rung 2: one kernel. Tiles of 16 keys and all scores are in shared memory, so a block loads each row once. A
// lane reads 2 bytes of its key's row; rows of D elements start in one bank (D = 64, 128).
#include "attention_forward.cuh"

namespace warpbert::ladders {

template <int D>
static __global__ void fma_kernel(AttentionRows a) {
  auto& s = shared<Scores>();
  auto& q = shared<bf16[16 * D], 1>();
  auto& tile = shared<bf16[16 * D], 2>();  // of k, then of v
  if (is_padding_block()) return zero_padding<D>(a);
  const Place at = place(a.starts);
  if (at.start >= at.length) return;
  const int lane = int(threadIdx.x), queries = min(16, at.length - at.start);

  load_tile<D, D>(q, a, at, at.start, 0, queries);
  for (int key0 = 0; key0 < at.length; key0 += 16) {
    __syncthreads();  // reads of the last tile are done
    load_tile<D, D>(tile, a, at, key0, 1, min(16, at.length - key0));
    __syncthreads();  // the tile is stored
    for (int i = lane; i < 16 * 16; i += 32) {
      const int r = i / 16, key = i % 16;
      float sum = 0;
      for (int d = 0; d < D; d++) {
        const bf16 x = q[r * D + d], y = tile[key * D + d];
        sum += to_float(x) * to_float(y);
      }
      s[r][key0 + key] = sum * kernels::score_scale<D>;
    }
  }
  __syncthreads();  // scores are stored
  softmax(s, a, at, queries);

  float out[D / 2] = {};  // a lane's columns of the 16 rows
  for (int key0 = 0; key0 < at.length; key0 += 16) {
    __syncthreads();  // reads of the last tile are done
    load_tile<D, D>(tile, a, at, key0, 2, min(16, at.length - key0));
    __syncthreads();  // the tile is stored
    for (int i = 0; i < D / 2; i++) {
      const int r = (lane + i * 32) / D, d = (lane + i * 32) % D;
      for (int key = 0; key < 16; key++) {
        const bf16 y = tile[key * D + d];
        out[i] += s[r][key0 + key] * to_float(y);
      }
    }
  }
  for (int i = 0; i < D / 2; i++) {
    const int r = (lane + i * 32) / D, d = (lane + i * 32) % D;
    const bf16 rounded = to_bf16(out[i]);
    if (r < queries) locate<D>(a.out, at, at.start + r, 0, 1)[d] = rounded;
  }
}

void attention_forward_fma(kernels::Stream stream, kernels::View out, float*,
                           const kernels::AttentionArgs& args) {
  with_grid(out, args,
            [&]<int D>(const AttentionRows& a, dim3 grid) { launch<fma_kernel<D>>(grid, 32, 0, stream, a); });
}

}  // namespace warpbert::ladders
