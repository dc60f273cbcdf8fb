// Casts, swap and add.
// Eight values per thread. A cast moves 6 bytes per value, a swap 16, an add 12.
#include "kernels.h"
#include "vector.cuh"

namespace warpbert::kernels {

template <class To, class From>
static __global__ void __launch_bounds__(flat_threads)
    cast_kernel(To* __restrict__ y, const From* __restrict__ x, size_t n) {
  const size_t begin = flat_begin();
  if (begin + flat_values <= n) {
    const size_t i = begin + threadIdx.x * 4;
    store_groups(y + i, load_groups(x + i));
  } else {
    for (size_t j = begin + threadIdx.x; j < n; j += flat_threads) y[j] = from_float<To>(to_float(x[j]));
  }
}

template <class To, class From>
static void launch_cast(Stream stream, To* y, const From* x, size_t n) {
  if (n) launch<cast_kernel<To, From>>(flat_blocks(n), flat_threads, 0, stream, y, x, n);
}

void cast(Stream stream, bf16* y, const float* x, size_t n) { launch_cast(stream, y, x, n); }
void cast(Stream stream, float* y, const bf16* x, size_t n) { launch_cast(stream, y, x, n); }

static __global__ void __launch_bounds__(flat_threads)
    swap_kernel(float* __restrict__ a, float* __restrict__ b, size_t n) {
  const size_t begin = flat_begin();
  if (begin + flat_values <= n) {
    const size_t i = begin + threadIdx.x * 4;
    const Float8 x = load_groups(a + i), y = load_groups(b + i);
    store_groups(a + i, y), store_groups(b + i, x);
  } else {
    for (size_t j = begin + threadIdx.x; j < n; j += flat_threads) {
      const float x = a[j];
      a[j] = b[j], b[j] = x;
    }
  }
}

void swap(Stream stream, float* a, float* b, size_t n) {
  if (n) launch<swap_kernel>(flat_blocks(n), flat_threads, 0, stream, a, b, n);
}

static __global__ void __launch_bounds__(flat_threads)
    add_kernel(float* __restrict__ sum, const float* __restrict__ x, size_t n) {
  const size_t begin = flat_begin();
  if (begin + flat_values <= n) {
    const size_t i = begin + threadIdx.x * 4;
    Float8 y = load_groups(sum + i);
    y += load_groups(x + i);
    store_groups(sum + i, y);
  } else {
    for (size_t j = begin + threadIdx.x; j < n; j += flat_threads) sum[j] += x[j];
  }
}

void add(Stream stream, float* sum, const float* x, size_t n) {
  if (n) launch<add_kernel>(flat_blocks(n), flat_threads, 0, stream, sum, x, n);
}

}  // namespace warpbert::kernels
