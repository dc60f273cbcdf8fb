// The simulator and simt.h: what kernels may rely on.
#include "kernels/simt.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <stdexcept>

#include "tests/support/buffer.h"

#ifndef WARPBERT_CUDA
#include "kernels/simt_pool.h"
#endif

using namespace warpbert;
using namespace warpbert::test;

static __global__ void warp_reductions(float* sums, float* maxima, float* sums5, float* maxima5, const float* x) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  sums[i] = warp_sum(x[i]);
  maxima[i] = warp_max(x[i]);
  float sum = x[i], max = x[i];
  for (int n = 16; n > 0; n /= 2) {
    sum += __shfl_xor_sync(0xffffffff, sum, n);
    max = fmaxf(max, __shfl_xor_sync(0xffffffff, max, n));
  }
  sums5[i] = sum, maxima5[i] = max;
}

TEST_CASE("warp_sum and warp_max: the bits of five butterfly shuffles") {
  const int n = 96 * 20;
  auto values = normal<float>(n, 100);
  values[32] = NAN, values[70] = INFINITY;
  for (int i = 128; i < 160; i++) values[i] = -INFINITY;
  Buffer<float> x(values), sums(n), maxima(n), sums5(n), maxima5(n);
  launch<warp_reductions>(20, 96, 0, nullptr, sums.data(), maxima.data(), sums5.data(), maxima5.data(), x.data());
  synchronize();
  CHECK(!std::memcmp(sums.data(), sums5.data(), n * sizeof(float)));
  CHECK(!std::memcmp(maxima.data(), maxima5.data(), n * sizeof(float)));
  CHECK(std::isnan(sums[40]));
  CHECK(maxima[40] == *std::max_element(values.begin() + 33, values.begin() + 64));  // a NaN does not count
  CHECK(maxima[130] == -INFINITY);
}

static __global__ void note_order(int* order, int* count) {
  if (threadIdx.x == 0) order[atomicAdd(count, 1)] = blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z);
}

TEST_CASE("launch: every block once, whatever their number") {
  auto check = [](dim3 grid) {
    const int n = grid.x * grid.y * grid.z;
    Buffer<int> order(n), count(std::vector<int>{0});
    launch<note_order>(grid, 1, 0, nullptr, order.data(), count.data());
    synchronize();
    auto sorted = order.vector();
    std::sort(sorted.begin(), sorted.end());
    bool complete = true;
    for (int i = 0; i < n; i++) complete &= sorted[i] == i;
    return complete && count[0] == n;
  };
  for (int n = 1; n <= 210; n++) CHECK(check(n));
  for (int n : {7918, 7919, 2 * 7919, 10007}) CHECK(check(n));
  CHECK(check(dim3(5, 7, 3)));
}

#ifndef WARPBERT_CUDA
TEST_CASE("parallel_for: every iteration once, on a stack of full size") {
  for (int n : {0, 1, 2, 1000}) {
    std::vector<std::atomic<int>> times(n);
    simt::parallel_for(n, [&](int i) {
      volatile char large[1 << 20];  // a fiber's stack has 64 KB
      large[0] = 1;
      times[i] += large[0];
    });
    for (auto& t : times) CHECK(t == 1);
  }
  CHECK(simt::workers() >= 1);
}

TEST_CASE("parallel_for: an exception comes back to the caller") {
  CHECK_THROWS_WITH_AS(simt::parallel_for(50,
                                          [](int i) {
                                            if (i == 33) throw std::runtime_error("33");
                                          }),
                       "33", std::runtime_error);
  simt::parallel_for(3, [](int) {});
}
#endif
