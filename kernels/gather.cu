// Gather and scatter of the rows with a target; see docs/kernels/gather.md.
// A block owns a row; scatter writes every row of dx once.
#include "launch.h"
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

// Position of `row` in index, or −1.
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

}  // namespace

void gather_rows(Stream stream, View y, View x, const int* index) {
  check_columns("gather_rows", y, {x});
  if (y.rows.capacity == 0) return;
  with_dtype(y.dtype, [&]<class T>() {
    launch<gather_rows_kernel<T>>(unsigned(y.rows.capacity), row_threads(y.cols, most_threads), 0, stream,
                                  y.as<T>(), x.as<T>(), index, y.rows, y.cols);
  });
}

void scatter_rows(Stream stream, GradView dx, View dy, const int* index) {
  const View& x = dx.view;
  check_columns("scatter_rows", x, {dy});
  if (x.rows.capacity == 0) return;
  with_dtype(x.dtype, [&]<class T>() {
    launch<scatter_rows_kernel<T>>(unsigned(x.rows.capacity), row_threads(x.cols, most_threads), 0, stream,
                                   x.as<T>(), dx.mode == Grad::accumulate, dy.as<T>(), index, dy.rows, x.rows,
                                   x.cols);
  });
}

}  // namespace warpbert::kernels
