// Fused log-softmax, cross-entropy and gradient, in place.
//
//   z = logits[m] + bias,  p = softmax(z) over V columns
//   loss[m]       = log Σ exp z − (1 − w)·z[token] − w·z[other]
//   dlogits[m][c] = scale·(p[c] − (1 − w)·[c = token] − w·[c = other])
//
// logits: fp32 [M, ld]; dlogits: T, written over them, each row from where it began. M ≈ 166 rows of V ≈ 6,400: 4.3 MB
// read and 2.1 (bf16) or 4.3 MB written, 1.5 µs at 4.3 TB/s.
//
// One block a row: three passes over it (maximum, sum, gradient) of which only the first comes from DRAM, since a row of
// 26 KB stays in L1. A thread takes eight neighbouring columns at a time.
#include <stdexcept>
#include <string>

#include "kernels.h"
#include "vector.h"

namespace warpbert::kernels {

constexpr int row_threads = 256;

// The sum or maximum over a block of row_threads, the same in every thread.
template <bool Max>
__device__ __forceinline__ float block_reduce(float x) {
  auto& part = shared<float[row_threads / 32], Max>();
  x = Max ? warp_max(x) : warp_sum(x);
  if (threadIdx.x % 32 == 0) part[threadIdx.x / 32] = x;
  __syncthreads();  // every warp's part is there
  float total = part[0];
#pragma unroll
  for (int i = 1; i < row_threads / 32; i++) total = Max ? fmaxf(total, part[i]) : total + part[i];
  return total;
}

// z of eight columns from c on; −∞ in the padding.
__device__ __forceinline__ Float8 load_z(const float* logits, const float* bias, int c, int vocabulary) {
  Float8 z = load8(logits + c);
  const Float8 b = load8(bias + c);
#pragma unroll
  for (int i = 0; i < 8; i++) z[i] = c + i < vocabulary ? z[i] + b[i] : -INFINITY;
  return z;
}

struct Softmax {
  float max, sum;  // p = exp(z − max) / sum
};

__device__ __forceinline__ Softmax row_softmax(const float* logits, const float* bias, int vocabulary) {
  float most = -INFINITY;
  for (int c = threadIdx.x * 8; c < vocabulary; c += row_threads * 8) {
    const Float8 z = load_z(logits, bias, c, vocabulary);
#pragma unroll
    for (int i = 0; i < 8; i++) most = fmaxf(most, z[i]);
  }
  most = block_reduce<true>(most);
  float sum = 0;
  for (int c = threadIdx.x * 8; c < vocabulary; c += row_threads * 8) {
    const Float8 z = load_z(logits, bias, c, vocabulary);
#pragma unroll
    for (int i = 0; i < 8; i++) sum += __expf(z[i] - most);
  }
  return {most, block_reduce<false>(sum)};
}

template <class T>
static __global__ void __launch_bounds__(row_threads)
    cross_entropy_kernel(float* __restrict__ loss, float* logits, const float* __restrict__ bias,
                         const Target* __restrict__ targets, const float* __restrict__ scale, const int* count,
                         int vocabulary, int ld) {
  const int m = blockIdx.x;
  float* z_row = logits + size_t(m) * ld;
  T* d_row = reinterpret_cast<T*>(z_row);
  if (m >= *count) {
    for (int c = threadIdx.x * 8; c < ld; c += row_threads * 8) store8(d_row + c, Float8{});
    if (threadIdx.x == 0) loss[m] = 0;
    return;
  }
  const Softmax softmax = row_softmax(z_row, bias, vocabulary);
  const Target target = targets[m];
  const float w = target.other_weight, inverse = 1 / softmax.sum;
  if (threadIdx.x == 0) {
    // max − z first: of two large numbers, what counts is the difference.
    const auto below_max = [&](int c) { return softmax.max - (z_row[c] + bias[c]); };
    float l = logf(softmax.sum) + (1 - w) * below_max(target.token);
    if (w != 0) l += w * below_max(target.other);
    loss[m] = l;
  }
  const float factor = *scale;
  for (int first = 0; first < ld; first += row_threads * 8) {
    const int c = first + threadIdx.x * 8;
    Float8 d{};
    if (c < ld) {
      const Float8 z = load_z(z_row, bias, c, vocabulary);
#pragma unroll
      for (int i = 0; i < 8; i++) {
        float g = __expf(z[i] - softmax.max) * inverse;  // 0 in the padding
        if (c + i == target.token) g -= 1 - w;
        if (w != 0 && c + i == target.other) g -= w;
        d[i] = factor * g;
      }
    }
    // bf16 results lie left of the logits they come from: all of this stretch, and the loss, must have been read.
    __syncthreads();
    if (c < ld) store8(d_row + c, d);
  }
}

static void check(const char* name, Rows rows, int vocabulary, int ld) {
  if (rows.capacity < 0 || vocabulary < 1 || vocabulary > ld || ld % 8)
    throw std::invalid_argument(std::string(name) + ": " + std::to_string(rows.capacity) + " rows of " +
                                std::to_string(vocabulary) + " columns, ld " + std::to_string(ld));
}

template <class T>
void cross_entropy(Stream stream, float* loss, float* logits, const float* bias, const Target* targets,
                   const float* scale, Rows rows, int vocabulary, int ld) {
  check("cross_entropy", rows, vocabulary, ld);
  if (rows.capacity)
    launch<cross_entropy_kernel<T>>(rows.capacity, row_threads, 0, stream, loss, logits, bias, targets, scale,
                                    rows.count, vocabulary, ld);
}
template void cross_entropy<float>(Stream, float*, float*, const float*, const Target*, const float*, Rows, int, int);
template void cross_entropy<bf16>(Stream, float*, float*, const float*, const Target*, const float*, Rows, int, int);

// ---- Sums of losses: some hundred numbers, one warp, one order ----------------------------------------------------------
static __global__ void __launch_bounds__(32)
    sum_losses_kernel(double* sums, int* ok, const float* __restrict__ loss, const Target* __restrict__ targets,
                      const int* count) {
  auto& part = shared<double[32][4]>();
  double of[4] = {};  // Σ loss of group 0 and 1, their counts
  bool finite = true;
  for (int m = threadIdx.x; m < *count; m += 32) {
    const double l = loss[m];
    if (targets[m].group == 0) of[0] += l, of[2] += 1;
    else of[1] += l, of[3] += 1;
    finite = finite && fabsf(loss[m]) < INFINITY;  // false for a NaN as well
  }
#pragma unroll
  for (int k = 0; k < 4; k++) part[threadIdx.x][k] = of[k];
  finite = __all_sync(0xffffffff, finite);
  __syncwarp();  // the other lanes' parts are there
  if (threadIdx.x < 4) {
    double total = sums[threadIdx.x];
    for (int lane = 0; lane < 32; lane++) total += part[lane][threadIdx.x];
    sums[threadIdx.x] = total;
  }
  if (threadIdx.x == 0 && !finite) *ok = 0;
}

void sum_losses(Stream stream, double* sums, int* ok, const float* loss, const Target* targets, Rows rows) {
  launch<sum_losses_kernel>(1, 32, 0, stream, sums, ok, loss, targets, rows.count);
}

// ---- Log probabilities of two tokens, for scores ------------------------------------------------------------------------
static __global__ void __launch_bounds__(row_threads)
    log_probabilities_kernel(float* __restrict__ out, const float* __restrict__ logits, const float* __restrict__ bias,
                             int token_a, int token_b, const int* count, int vocabulary, int ld) {
  const int m = blockIdx.x;
  if (m >= *count) {
    if (threadIdx.x < 2) out[2 * m + threadIdx.x] = 0;
    return;
  }
  const float* z_row = logits + size_t(m) * ld;
  const Softmax softmax = row_softmax(z_row, bias, vocabulary);
  if (threadIdx.x < 2) {
    const int token = threadIdx.x == 0 ? token_a : token_b;
    out[2 * m + threadIdx.x] = (z_row[token] + bias[token] - softmax.max) - logf(softmax.sum);
  }
}

void log_probabilities(Stream stream, float* out, const float* logits, const float* bias, int token_a, int token_b,
                       Rows rows, int vocabulary, int ld) {
  check("log_probabilities", rows, vocabulary, ld);
  if (token_a < 0 || token_b < 0 || token_a >= vocabulary || token_b >= vocabulary)
    throw std::invalid_argument("log_probabilities: tokens " + std::to_string(token_a) + " and " +
                                std::to_string(token_b) + " of " + std::to_string(vocabulary));
  if (rows.capacity)
    launch<log_probabilities_kernel>(rows.capacity, row_threads, 0, stream, out, logits, bias, token_a, token_b,
                                     rows.count, vocabulary, ld);
}

}  // namespace warpbert::kernels
