// Tests simt.h on both targets, and the simulator.
#include "simt/simt.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <iterator>
#include <numeric>
#include <stdexcept>
#include <string>
#include <vector>

#include "tests/support/buffer.h"

#ifndef WARPBERT_CUDA
#include "simt/cpu/pool.h"
#include "simt/cpu/stream.h"
#include "tests/support/little_memory.h"
#include "tests/support/thread_order.h"
#endif

using namespace warpbert;
using namespace warpbert::test;

static __global__ void warp_reductions(float* sums, float* maxima, float* sums5, float* maxima5,
                                       const float* x) {
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
  const int blocks = 20, n = 96 * blocks;  // three warps each
  auto values = normal<float>(n, 100);
  values[32] = NAN, values[70] = INFINITY;                // second and third warp
  for (int i = 128; i < 160; i++) values[i] = -INFINITY;  // all of the fifth warp
  Buffer<float> x(values), sums(n), maxima(n), sums5(n), maxima5(n);
  launch<warp_reductions>(blocks, 96, 0, nullptr, sums.data(), maxima.data(), sums5.data(), maxima5.data(),
                          x.data());
  synchronize();
  CHECK(!std::memcmp(sums.data(), sums5.data(), n * sizeof(float)));
  CHECK(!std::memcmp(maxima.data(), maxima5.data(), n * sizeof(float)));
  CHECK(std::isnan(sums[40]));
  CHECK(maxima[40] == *std::max_element(values.begin() + 33, values.begin() + 64));  // fmaxf ignores NaN
  CHECK(maxima[130] == -INFINITY);
}

template <int lanes>
static __global__ void group_reductions(double* sums, float* maxima, double* sums_by_shuffles,
                                        float* maxima_by_shuffles, const float* x) {
  const int i = threadIdx.x;
  double sum = x[i];
  float max = x[i];
  sums[i] = warp_sum<lanes>(sum), maxima[i] = warp_max<lanes>(max);
  for (int n = lanes / 2; n > 0; n /= 2) {
    sum += __shfl_xor_sync(0xffffffff, sum, n);
    max = fmaxf(max, __shfl_xor_sync(0xffffffff, max, n));
  }
  sums_by_shuffles[i] = sum, maxima_by_shuffles[i] = max;
}

template <int lanes>
static void check_group_reductions() {
  CAPTURE(lanes);
  const int n = 96;
  Buffer<float> x(normal<float>(n, 100)), maxima(n), maxima_by_shuffles(n);
  Buffer<double> sums(n), sums_by_shuffles(n);
  launch<group_reductions<lanes>>(1, n, 0, nullptr, sums.data(), maxima.data(), sums_by_shuffles.data(),
                                  maxima_by_shuffles.data(), x.data());
  synchronize();
  CHECK(sums.vector() == sums_by_shuffles.vector());
  CHECK(maxima.vector() == maxima_by_shuffles.vector());
  double first = 0;
  for (int i = 0; i < lanes; i++) first += x[i];
  CHECK(sums[0] == doctest::Approx(first));
}

TEST_CASE("warp_sum and warp_max of groups of lanes: the bits of butterfly shuffles") {
  check_group_reductions<2>();
  check_group_reductions<4>();
  check_group_reductions<8>();
  check_group_reductions<32>();
}

static __global__ void sum_in_last_warp(float* sums, const float* x) {
  auto& values = shared<float[1024]>();
  values[threadIdx.x] = x[blockIdx.x * blockDim.x + threadIdx.x];
  if (!sync_into_last_warp()) return;
  float sum = 0;
  for (unsigned i = threadIdx.x % 32; i < blockDim.x; i += 32) sum += values[i];
  sum = warp_sum(sum);
  if (threadIdx.x == blockDim.x - 1) sums[blockIdx.x] = sum;
}

TEST_CASE("sync_into_last_warp: the last warp sees what all threads of its block have stored") {
  const auto check = [] {
    for (int threads : {32, 64, 256, 1024}) {
      CAPTURE(threads);
      const int blocks = 5;
      std::vector<float> values(blocks * threads);
      for (size_t i = 0; i < values.size(); i++) values[i] = float(i % 7);  // exact sums
      Buffer<float> x(values), sums(blocks);
      launch<sum_in_last_warp>(blocks, threads, 0, nullptr, sums.data(), x.data());
      synchronize();
      for (int b = 0; b < blocks; b++)
        CHECK(sums[b] ==
              std::accumulate(values.begin() + b * threads, values.begin() + (b + 1) * threads, 0.0f));
    }
  };
#ifdef __CUDACC__
  check();
#else
  for (auto order : {simt::Order::reverse, simt::Order::random, simt::Order::forward}) {
    const ThreadOrder set({order, 3});
    check();
  }
#endif
}

static __global__ void fast_functions(float* powers, float* exponentials, float* reciprocals,
                                      const float* x) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  powers[i] = fast_exp2(x[i]), exponentials[i] = fast_exp(x[i]), reciprocals[i] = fast_reciprocal(x[i]);
}

TEST_CASE(
    "fast_exp2, fast_exp and fast_reciprocal: two units in the last place, or as many as the argument has "
    "lost") {
  const int n = 256 * 64;
  std::vector<float> values(n);
  for (int i = 0; i < n; i++) values[i] = (i - n / 2) * (250.0f / n) + 1e-4f;  // -125 to 125, without 0
  const float special[] = {0, INFINITY, -INFINITY, NAN, 128, -126.5f, 1e30f, -1e30f, 1e-30f};
  std::copy(std::begin(special), std::end(special), values.begin());
  Buffer<float> x(values), powers(n), exponentials(n), reciprocals(n);
  launch<fast_functions>(n / 256, 256, 0, nullptr, powers.data(), exponentials.data(), reciprocals.data(),
                         x.data());
  synchronize();
  const double unit = 0x1p-23;
  Worst of_power, of_exponential, of_reciprocal;
  for (int i = int(std::size(special)); i < n; i++) {
    const double v = values[i];
    of_power.add(powers[i], std::exp2(v), 0);
    // x·log₂e has an error of half an ulp, multiplied by ln 2. Above 86, eˣ approaches the largest float.
    if (std::abs(v) < 86) of_exponential.add((exponentials[i] / std::exp(v) - 1) / (2 + std::abs(v)), 0);
    of_reciprocal.add(reciprocals[i], 1 / v, 0);
  }
  CHECK(of_power.value < 2 * unit);
  CHECK(of_exponential.value < unit);
  CHECK(of_reciprocal.value < 2 * unit);
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
  const int block = blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z);
  order[atomicAdd(count, 1)] = block * blockDim.x + threadIdx.x;
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
  for (int n : {1, 2, 3, 4, 5, 10000}) CHECK(check(n));  // fewer blocks than run at a time, and many more
  CHECK(check(dim3(5, 7, 3)));
}

#ifndef WARPBERT_CUDA
// `order` makes the numbers 0 to 31, too many to match an order by chance.
template <class T, class Make>
static void check_orders(Make order) {
  using simt::Order;
  std::vector<T> forward(32);
  std::iota(forward.begin(), forward.end(), 0);
  const std::vector<T> reverse(forward.rbegin(), forward.rend());
  CHECK(order({Order::forward, 1}) == forward);
  CHECK(order({Order::reverse, 1}) == reverse);
  const std::vector<T> random[] = {order({Order::random, 1}), order({Order::random, 2})};
  for (const auto& numbers : random) {
    CHECK(std::is_permutation(numbers.begin(), numbers.end(), forward.begin(), forward.end()));
    CHECK(numbers != forward);
    CHECK(numbers != reverse);
  }
  CHECK(random[0] != random[1]);
  CHECK(random[0] == order({Order::random, 1}));
}

TEST_CASE("block_order: forward, backward, or an order of the seed's own") {
  check_orders<long>([](simt::OrderAndSeed how) { return simt::block_order(32, how); });
}

TEST_CASE("set_order: a block's threads run forward, backward, or in an order of the seed's own") {
  check_orders<int>([](simt::OrderAndSeed how) {
    const ThreadOrder set(how);
    Buffer<int> numbers(32), count(std::vector<int>{0});
    launch<note_order>(1, 32, 0, nullptr, numbers.data(), count.data());
    return numbers.vector();
  });
}

TEST_CASE("parallel_for: every iteration once, on a stack of full size") {
  for (int n : {0, 1, 2, 1000}) {  // none, few, and more than workers
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

static __global__ void halve_sum(int* sums) {
  int& sum = shared<int>();
  if (threadIdx.x == 0) sum = 0;
  __syncthreads();
  atomicAdd(&sum, 2);
  __syncthreads();
  if (threadIdx.x == 0) sums[blockIdx.x] = sum / 2;
}

TEST_CASE("launch: without memory for stacks an exception comes back to the caller, and launches go on") {
  const std::string message = "out of memory: the simulator needs 102 MiB of address space for each of " +
                              std::to_string(simt::workers()) +
                              " threads; set run.threads to fewer, or raise the limit (ulimit -v)";
  Buffer<int> sums(8);
  const auto run = [&](int blocks) {
    std::fill_n(sums.data(), blocks, 0);
    launch<halve_sum>(blocks, 1024, 0, nullptr, sums.data());
  };
  if (const LittleMemory little(4 << 20); little.exists()) {
    CHECK_THROWS_WITH_AS(run(1), message.c_str(), std::runtime_error);
    CHECK_THROWS(run(8));  // in any worker; std::bad_alloc too
  }
  run(8);
  CHECK(sums.vector() == std::vector<int>(8, 1024));
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
