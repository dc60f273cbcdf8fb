// Cross-entropy moves 6 bytes per logit in bf16; the second read comes from cache. dlogits fill the first
// ld·sizeof(T) bytes of each row.
//
// A block owns a row and walks it in stretches, two pieces of eight adjacent columns per thread. One read
// gives maximum and sum (online softmax, Milakov & Gimelshein 2018).
#include "block_sum.cuh"
#include "launch.h"
#include "vector.cuh"

namespace warpbert::kernels {

constexpr unsigned most_threads = 512;  // per row
constexpr int pieces = 2;

// Σ exp z = sum·exp(max).
struct SoftmaxSum {
  float max = -3.4e38f;  // finite: avoids inf − inf
  float sum = 0;
};

static __device__ __forceinline__ SoftmaxSum merge(SoftmaxSum a, SoftmaxSum b) {
  const float m = max(a.max, b.max);
  return {m, a.sum * fast_exp(a.max - m) + b.sum * fast_exp(b.max - m)};
}

static __device__ __forceinline__ int stretch() { return int(blockDim.x) * 8 * pieces; }
static __device__ __forceinline__ int piece(int start, int k) {
  return start + (k * int(blockDim.x) + int(threadIdx.x)) * 8;
}

// z of a thread's pieces; −∞ from V on, where bias is not read.
static __device__ __forceinline__ void load_z(Float8 (&z)[pieces], const float* row, const float* bias,
                                              int start, int vocabulary) {
  Float8 b[pieces] = {};
#pragma unroll
  for (int k = 0; k < pieces; k++) {
    const int c = piece(start, k);
    z[k] = {};
    if (c < vocabulary) z[k] = load8(row + c);
    if (c + 8 <= vocabulary) b[k] = load8(bias + c);
  }
#pragma unroll
  for (int k = 0; k < pieces; k++) {
    z[k] += b[k];
    const int c = piece(start, k);
    if (c + 8 <= vocabulary) continue;
#pragma unroll
    for (int j = 0; j < 8; j++) z[k][j] = c + j < vocabulary ? z[k][j] + bias[c + j] : -INFINITY;
  }
}

static __device__ __forceinline__ SoftmaxSum thread_sum(const float* row, const float* bias, int vocabulary) {
  SoftmaxSum s;
  for (int start = 0; start < vocabulary; start += stretch()) {
    Float8 z[pieces];
    load_z(z, row, bias, start, vocabulary);
#pragma unroll
    for (int k = 0; k < pieces; k++) {
      if (piece(start, k) >= vocabulary) continue;
      SoftmaxSum eight;
#pragma unroll
      for (int j = 0; j < 8; j++) eight.max = max(eight.max, z[k][j]);
#pragma unroll
      for (int j = 0; j < 8; j++) eight.sum += fast_exp(z[k][j] - eight.max);
      s = merge(s, eight);
    }
  }
  return s;
}

static __device__ __forceinline__ SoftmaxSum merge_lanes(SoftmaxSum s) {
  const float max = warp_max(s.max);
  return {max, warp_sum(s.sum * fast_exp(s.max - max))};
}

// At its barrier all threads have read the row once.
static __device__ __forceinline__ SoftmaxSum block_sum(SoftmaxSum s) {
  auto& warps = shared<SoftmaxSum[most_threads / 32]>();
  const int lane = int(threadIdx.x) % 32;
  s = merge_lanes(s);
  if (lane == 0) warps[threadIdx.x / 32] = s;
  __syncthreads();  // sums are stored
  SoftmaxSum of_a_warp;
  if (lane < int(blockDim.x) / 32) of_a_warp = warps[lane];
  return merge_lanes(of_a_warp);
}

template <class T>
static __global__ void __launch_bounds__(most_threads, 2)
    cross_entropy_kernel(float* __restrict__ loss, float* logits, const float* __restrict__ bias,
                         const Target* __restrict__ targets, const float* __restrict__ scale,
                         const int* count, int vocabulary, int ld) {
  const int m = blockIdx.x;
  float* row = logits + size_t(m) * ld;
  T* gradient = reinterpret_cast<T*>(row);
  if (m >= *count) {
    for (int c = threadIdx.x * 8; c < ld; c += blockDim.x * 8) store8(gradient + c, Float8{});
    if (threadIdx.x == 0) loss[m] = 0;
    return;
  }
  const Target target = targets[m];
  const float w = target.other_weight, k = *scale;
  SoftmaxSum s = thread_sum(row, bias, vocabulary);
  // Reads target logits here: earlier, the loop would wait; after the barrier, gradients may overwrite them.
  float z_token = 0, z_other = 0;
  if (threadIdx.x == 0) {
    z_token = row[target.token] + bias[target.token];
    if (w != 0) z_other = row[target.other] + bias[target.other];
  }
  s = block_sum(s);
  if (threadIdx.x == 0) {  // relative to max: large logits do not cancel
    const float other = w != 0 ? w * (s.max - z_other) : 0;
    loss[m] = logf(s.sum) + (1 - w) * (s.max - z_token) + other;
  }
  const float share = k / s.sum;
  for (int start = 0; start < ld; start += stretch()) {
    Float8 z[pieces];
    load_z(z, row, bias, start, vocabulary);
#pragma unroll
    for (int p = 0; p < pieces; p++) {
      const int c = piece(start, p);
      if (c >= ld) continue;
#pragma unroll
      for (int j = 0; j < 8; j++) {
        z[p][j] = share * fast_exp(z[p][j] - s.max);
        if (c + j == target.token) z[p][j] -= k * (1 - w);
        if (c + j == target.other) z[p][j] -= k * w;
      }
    }
    // The bf16 gradient of column c overwrites the logit of column c/2, which another thread may not have
    // read yet.
    if constexpr (sizeof(T) < sizeof(float)) __syncthreads();
#pragma unroll
    for (int p = 0; p < pieces; p++)
      if (const int c = piece(start, p); c < ld) store8(gradient + c, z[p]);
  }
}

static void check_logits(const char* launcher, const View& logits, int classes) {
  check_view(launcher, logits);
  if (logits.dtype != DType::f32 || logits.ld != logits.cols || classes < 1 || classes > logits.cols)
    refuse(launcher, "logits ", shape(logits), ", leading dimension ", logits.ld, ", ", classes,
           " classes; contiguous floats are needed");
}

View cross_entropy(Stream stream, float* loss, DType dtype, const CrossEntropyArgs& args) {
  const View& logits = args.logits;
  check_logits("cross_entropy", logits, args.classes);
  with_dtype(dtype, [&]<class T>() {
    if (logits.rows.capacity)
      launch<cross_entropy_kernel<T>>(logits.rows.capacity, row_threads(logits.ld, most_threads), 0, stream,
                                      loss, logits.as<float>(), args.bias, args.targets, args.scale,
                                      logits.rows.count, args.classes, logits.ld);
  });
  return {logits.data, dtype, logits.rows, logits.cols, logits.ld * int(sizeof(float) / size_of(dtype))};
}

static __global__ void __launch_bounds__(most_threads, 2)
    log_probabilities_kernel(float* __restrict__ out, const float* __restrict__ logits,
                             const float* __restrict__ bias, int token_a, int token_b, const int* count,
                             int vocabulary, int ld) {
  const int m = blockIdx.x;
  const float* row = logits + size_t(m) * ld;
  const int token = threadIdx.x == 0 ? token_a : token_b;
  if (m >= *count) {
    if (threadIdx.x < 2) out[m * size_t(2) + threadIdx.x] = 0;
    return;
  }
  const SoftmaxSum s = block_sum(thread_sum(row, bias, vocabulary));
  if (threadIdx.x < 2) out[m * size_t(2) + threadIdx.x] = row[token] + bias[token] - s.max - logf(s.sum);
}

void log_probabilities(Stream stream, float* out, View logits, const float* bias, int classes,
                       std::array<int, 2> tokens) {
  check_logits("log_probabilities", logits, classes);
  for (const int token : tokens)
    if (token < 0 || token >= classes) refuse("log_probabilities", "token ", token, " of ", classes);
  if (logits.rows.capacity)
    launch<log_probabilities_kernel>(logits.rows.capacity, row_threads(logits.ld, most_threads), 0, stream,
                                     out, logits.as<float>(), bias, tokens[0], tokens[1], logits.rows.count,
                                     classes, logits.ld);
}

// One block: M is some hundreds.
constexpr int sum_threads = 256;

static __global__ void __launch_bounds__(sum_threads)
    sum_losses_kernel(double* sums, int* finite, const float* __restrict__ loss,
                      const Target* __restrict__ targets, const int* count) {
  double mine[4] = {};  // Σ loss of group 0 and 1, counts
  for (int m = threadIdx.x; m < *count; m += sum_threads) {
    const bool second = targets[m].group == 1;
    mine[0] += second ? 0 : loss[m], mine[1] += second ? loss[m] : 0;
    mine[2] += !second, mine[3] += second;
  }
  double total[4];
  if (!block_sums<sum_threads>(total, mine)) return;
#pragma unroll
  for (int k = 0; k < 4; k++) {
    if (sums) sums[k] += total[k];
    if (!(fabs(total[k]) < INFINITY)) *finite = 0;  // finite floats cannot overflow a double
  }
}

void sum_losses(Stream stream, double* sums, int* finite, const float* loss, const Target* targets,
                Rows rows) {
  if (rows.capacity < 0) refuse("sum_losses", rows.capacity, " rows");
  launch<sum_losses_kernel>(1, sum_threads, 0, stream, sums, finite, loss, targets, rows.count);
}

}  // namespace warpbert::kernels
