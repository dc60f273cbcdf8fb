// The simulator and simt.h: what kernels may rely on.
#include "kernels/simt.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <cmath>
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

static __global__ void fast_functions(float* powers, float* exponentials, float* reciprocals, const float* x) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  powers[i] = fast_exp2(x[i]), exponentials[i] = fast_exp(x[i]), reciprocals[i] = fast_reciprocal(x[i]);
}

TEST_CASE("fast_exp2, fast_exp and fast_reciprocal: two units in the last place, or as many as the argument has lost") {
  const int n = 256 * 64;
  std::vector<float> values(n);
  for (int i = 0; i < n; i++) values[i] = (i - n / 2) * (250.0f / n) + 1e-4f;
  const float special[] = {0, INFINITY, -INFINITY, NAN, 128, -126.5f, 1e30f, -1e30f, 1e-30f};
  std::copy(std::begin(special), std::end(special), values.begin());
  Buffer<float> x(values), powers(n), exponentials(n), reciprocals(n);
  launch<fast_functions>(n / 256, 256, 0, nullptr, powers.data(), exponentials.data(), reciprocals.data(), x.data());
  synchronize();
  const double unit = 0x1p-23;
  double of_power = 0, of_exponential = 0, of_reciprocal = 0;
  for (int i = int(std::size(special)); i < n; i++) {
    const double v = values[i];
    of_power = std::max(of_power, std::abs(powers[i] / std::exp2(v) - 1));
    if (std::abs(v) < 86)  // x·log₂e is off by half a unit, which the function multiplies by ln 2
      of_exponential = std::max(of_exponential, std::abs(exponentials[i] / std::exp(v) - 1) / (2 + std::abs(v)));
    of_reciprocal = std::max(of_reciprocal, std::abs(reciprocals[i] * v - 1));
  }
  CHECK(of_power < 2 * unit);
  CHECK(of_exponential < unit);
  CHECK(of_reciprocal < 2 * unit);
  const auto same = [&](const float* results, std::vector<float> expected) {
    for (size_t i = 0; i < expected.size(); i++)
      if (!(std::isnan(expected[i]) ? std::isnan(results[i]) : results[i] == expected[i])) return false;
    return true;
  };
  CHECK(same(powers.data(), {1, INFINITY, 0, NAN, INFINITY, 0, INFINITY, 0, 1}));
  CHECK(same(exponentials.data(), {1, INFINITY, 0, NAN, INFINITY, 0, INFINITY, 0, 1}));
  CHECK(same(reciprocals.data(), {INFINITY, 0, 0, NAN, 1 / 128.0f}));
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
TEST_CASE("set_order: forward, backward, or neither") {
  if (simt::workers() > 1) return;  // they would take turns
  const int n = 50;
  std::vector<int> forward(n), orders[3];
  for (int i = 0; i < n; i++) forward[i] = i;
  for (auto order : {simt::Order::forward, simt::Order::reverse, simt::Order::random}) {
    simt::set_order(order, 3);
    Buffer<int> numbers(n), count(std::vector<int>{0});
    launch<note_order>(n, 1, 0, nullptr, numbers.data(), count.data());
    orders[int(order)] = numbers.vector();
  }
  CHECK(orders[0] == forward);
  CHECK(orders[1] == std::vector<int>(forward.rbegin(), forward.rend()));
  CHECK(orders[2] != orders[0]);
  CHECK(orders[2] != orders[1]);
}

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
