// Rung 1: a kernel for each line of the formula; the scores pass through device memory. A lane's key is a row
// away from its neighbour's, so a load of k takes 32 sectors.
#include "attention_forward.cuh"

namespace warpbert::ladders {

// Score of a query and a key.
__device__ inline float& score(float* scores, const AttentionRows& a, const Place& at, int query, int key,
                               int longest) {
  return scores[(size_t(at.head) * a.rows.capacity + at.first + query) * longest + key];
}

template <int D>
static __global__ void scores_kernel(AttentionRows a, float* scores, int longest) {
  if (is_padding_block()) return zero_padding<D>(a);
  const Place at = place(a.starts);
  const int queries = min(16, at.length - at.start);
  for (int i = int(threadIdx.x); i < queries * at.length; i += 32) {
    const int query = at.start + i / at.length, key = i % at.length;
    float sum = 0;
    for (int d = 0; d < D; d++)
      sum += to_float(element<D>(a, at, query, 0, d)) * to_float(element<D>(a, at, key, 1, d));
    score(scores, a, at, query, key, longest) = sum * kernels::score_scale<D>;
  }
}

static __global__ void softmax_kernel(AttentionRows a, float* scores, int longest) {
  if (is_padding_block()) return;
  const Place at = place(a.starts);
  const int query = at.start + int(threadIdx.x);
  if (threadIdx.x >= 16 || query >= at.length) return;
  float* const s = &score(scores, a, at, query, 0, longest);
  float max = -INFINITY, sum = 0;
  for (int key = 0; key < at.length; key++) max = fmaxf(max, s[key]);
  for (int key = 0; key < at.length; key++) sum += expf(s[key] - max);
  for (int key = 0; key < at.length; key++) s[key] = expf(s[key] - max) / sum;
  a.lse[size_t(at.head) * a.rows.capacity + at.first + query] = max + logf(sum);
}

template <int D>
static __global__ void output_kernel(AttentionRows a, float* scores, int longest) {
  if (is_padding_block()) return;
  const Place at = place(a.starts);
  const int queries = min(16, at.length - at.start);
  for (int i = int(threadIdx.x); i < queries * D; i += 32) {
    const int query = at.start + i / D, d = i % D;
    float sum = 0;
    for (int key = 0; key < at.length; key++)
      sum += score(scores, a, at, query, key, longest) * to_float(element<D>(a, at, key, 2, d));
    const bf16 rounded = to_bf16(sum);
    locate<D>(a.out, at, query, 0, 1)[d] = rounded;
  }
}

void attention_forward_in_memory(kernels::Stream stream, kernels::View out, float* scores,
                                 const kernels::AttentionArgs& args) {
  const int longest = args.sequences.max_length;
  with_grid(out, args, [&]<int D>(const AttentionRows& a, dim3 grid) {
    launch<scores_kernel<D>>(grid, 32, 0, stream, a, scores, longest);
    launch<softmax_kernel>(grid, 32, 0, stream, a, scores, longest);
    launch<output_kernel<D>>(grid, 32, 0, stream, a, scores, longest);
  });
}

}  // namespace warpbert::ladders
