// Gather and scatter of the rows with a target: only these go through the model's largest GEMM.
//
// One block per row. Gather moves 4·M·H bytes in bf16, scatter 2·H·(M + N). Scatter has one block per row of
// dx, which searches its row in the ascending index: one launch writes every row exactly once, without
// zeroing first.
#include <stdexcept>
#include <string>

#include "kernels.h"
#include "vector.cuh"

namespace warpbert::kernels {
namespace {

constexpr unsigned most_threads = 256;  // per block

template <class T>
__global__ void __launch_bounds__(most_threads)
    gather_rows_kernel(T* __restrict__ y, const T* __restrict__ x, const int* __restrict__ index,
                       Rows targets, int hidden) {
  const int m = int(blockIdx.x);
  const bool real = m < *targets.count;
  const T* from = x + (real ? size_t(index[m]) * hidden : 0);
  for (int c = int(threadIdx.x) * 8; c < hidden; c += int(blockDim.x) * 8)
    store8(y + size_t(m) * hidden + c, real ? load8(from + c) : Float8{});
}

// Position of `row` in the ascending index[0 … n), or −1.
__device__ __forceinline__ int find(const int* __restrict__ index, int n, int row) {
  int begin = 0, end = n;
  while (begin < end) {
    const int middle = (begin + end) / 2;
    if (index[middle] < row) begin = middle + 1;
    else end = middle;
  }
  return begin < n && index[begin] == row ? begin : -1;
}

template <class T>
__global__ void __launch_bounds__(most_threads)
    scatter_rows_kernel(T* __restrict__ dx, bool accumulate, const T* __restrict__ dy,
                        const int* __restrict__ index, Rows targets, Rows rows, int hidden) {
  const int row = int(blockIdx.x);
  const bool real = row < *rows.count;
  const int m = real ? find(index, *targets.count, row) : -1;
  if (accumulate && real && m < 0) return;
  for (int c = int(threadIdx.x) * 8; c < hidden; c += int(blockDim.x) * 8) {
    T* to = dx + size_t(row) * hidden + c;
    Float8 d = m >= 0 && accumulate ? load8(to) : Float8{};
    if (m >= 0) d += load8(dy + size_t(m) * hidden + c);
    store8(to, d);
  }
}

void check(const char* name, Rows targets, int hidden) {
  if (hidden <= 0 || hidden % 8 || targets.capacity < 0)
    throw std::invalid_argument(std::string(name) + ": " + std::to_string(targets.capacity) + " rows of " +
                                std::to_string(hidden) + ": the hidden size must be a multiple of 8");
}

}  // namespace

template <class T>
void gather_rows(Stream stream, T* y, const T* x, const int* index, Rows targets, int hidden) {
  check("gather_rows", targets, hidden);
  if (targets.capacity == 0) return;
  launch<gather_rows_kernel<T>>(unsigned(targets.capacity), row_threads(hidden, most_threads), 0, stream, y,
                                x, index, targets, hidden);
}

template <class T>
void scatter_rows(Stream stream, T* dx, bool accumulate, const T* dy, const int* index, Rows targets,
                  Rows rows, int hidden) {
  check("scatter_rows", targets, hidden);
  if (rows.capacity < 0)
    throw std::invalid_argument("scatter_rows: into " + std::to_string(rows.capacity) + " rows");
  if (rows.capacity == 0) return;
  launch<scatter_rows_kernel<T>>(unsigned(rows.capacity), row_threads(hidden, most_threads), 0, stream, dx,
                                 accumulate, dy, index, targets, rows, hidden);
}

template decltype(gather_rows<float>) gather_rows<float>;
template decltype(gather_rows<bf16>) gather_rows<bf16>;
template decltype(scatter_rows<float>) scatter_rows<float>;
template decltype(scatter_rows<bf16>) scatter_rows<bf16>;

}  // namespace warpbert::kernels
