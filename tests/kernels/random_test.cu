#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "kernels/kernels.h"
#include "kernels/philox.h"
#include "simt/simt.h"
#include "tests/support/buffer.h"

#ifdef WARPBERT_CUDA
#include <curand_kernel.h>
#endif

using namespace warpbert;
using namespace warpbert::test;
using kernels::RandomState;

namespace {
// words[i] = word i of (seed, pass, site). A thread owns one Philox block and one 16-byte store.
static __global__ void __launch_bounds__(256)
    random_words_kernel(uint32_t* __restrict__ words, size_t n, uint32_t site,
                        const RandomState* __restrict__ random) {
  const size_t group = size_t(blockIdx.x) * blockDim.x + threadIdx.x, i = group * 4;
  if (i >= n) return;
  const Random4 r = random4(random->seed, random->pass, site, group);
  if (i + 4 <= n) {
    const uint4 all = make_uint4(r.v[0], r.v[1], r.v[2], r.v[3]);
    *reinterpret_cast<uint4*>(words + i) = all;
  } else {
#pragma unroll
    for (int j = 0; j < 3; j++)
      if (i + j < n) words[i + j] = r.v[j];
  }
}

std::vector<uint32_t> words(size_t n, uint64_t seed, uint32_t pass, uint32_t site) {
  Buffer<uint32_t> w(n + 4);
  Buffer<RandomState> state(std::vector<RandomState>{{seed, pass}});
  for (size_t i = 0; i < n + 4; i++) w[i] = 0xdeadbeef;
  launch<random_words_kernel>(unsigned((n + 1023) / 1024), 256, 0, nullptr, w.data(), n, site, state.data());
  synchronize();
  for (size_t i = n; i < n + 4; i++) CHECK(w[i] == 0xdeadbeef);
  std::vector<uint32_t> result = w.vector();
  result.resize(n);
  return result;
}
}  // namespace

// Known answers: Random123 1.14, tests/kat_vectors, lines "philox4x32 10".
TEST_CASE("philox4x32_10: the answers published with Random123") {
  struct Known {
    uint32_t counter[4], key[2], answer[4];
  };
  const Known known[] = {
      {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
      {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
       {0xffffffff, 0xffffffff},
       {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
      {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
       {0xa4093822, 0x299f31d0},
       {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
  };
  for (const Known& k : known) {
    const Random4 r =
        philox4x32_10({{k.counter[0], k.counter[1], k.counter[2], k.counter[3]}}, k.key[0], k.key[1]);
    for (int i = 0; i < 4; i++) CHECK(r.v[i] == k.answer[i]);
    // The kernel covers group 0 only (counter[0] = counter[1] = 0): the first four words of a site.
    if (k.counter[0] || k.counter[1]) continue;
    const auto w = words(4, uint64_t(k.key[1]) << 32 | k.key[0], k.counter[3], k.counter[2]);
    for (int i = 0; i < 4; i++) CHECK(w[i] == k.answer[i]);
  }
}

TEST_CASE("random_words: word i is word i % 4 of group i / 4, at every length") {
  const uint64_t seed = 0xa4093822299f31d0;
  const uint32_t pass = 0x03707344, site = 0x13198a2e;
  for (size_t n : {1, 2, 3, 4, 5, 31, 33, 1024, 1025, 5003}) {
    const auto w = words(n, seed, pass, site);
    size_t wrong = 0;
    for (size_t i = 0; i < n; i++)
      wrong +=
          w[i] !=
          philox4x32_10({{uint32_t(i / 4), 0, site, pass}}, uint32_t(seed), uint32_t(seed >> 32)).v[i % 4];
    CHECK(wrong == 0);
  }
}

TEST_CASE("random_words: seed, pass and site each give other words") {
  const auto base = words(64, 1, 2, 3);
  const auto same = [&](const std::vector<uint32_t>& other) {
    size_t n = 0;
    for (size_t i = 0; i < base.size(); i++) n += base[i] == other[i];
    return n;
  };
  CHECK(same(words(64, 1, 2, 3)) == 64);
  // Chance matches have probability 64·2⁻³².
  CHECK(same(words(64, 2, 2, 3)) == 0);
  CHECK(same(words(64, uint64_t(1) << 32 | 1, 2, 3)) == 0);
  CHECK(same(words(64, 1, 3, 3)) == 0);
  CHECK(same(words(64, 1, 2, 4)) == 0);
  CHECK(same(words(64, 1, 3, 2)) == 0);
}

TEST_CASE("dropout: as many half-words fall below the threshold as the rate says, and the mean stays") {
  const size_t n = 200000;
  const auto w = words(n, 7, 1, 5);
  for (float rate : {0.1f, 0.5f})
    for (uint32_t half : {0, 1}) {
      double dropped = 0;
      for (uint32_t v : w) dropped += dropout_bits(v, half) < dropout_threshold(rate);
      CHECK(std::abs(dropped / n - rate) < 5 * std::sqrt(rate * (1 - rate) / n));  // 5 sigma
    }
  for (float rate : {0.0f, 1e-6f, 0.1f, 0.5f, 0.9f, 0.99999f}) {
    const double threshold = dropout_threshold(rate) / 4294967296.0;
    CHECK(std::abs(threshold - rate) <= std::max(0x1p-17, rate - (1 - 0x1p-16)));
    CHECK(std::abs((1 - threshold) * dropout_scale(rate) - 1) < 1e-7);
  }
  CHECK(dropout_bits(0x12345678, 0) == 0x56780000);
  CHECK(dropout_bits(0x12345678, 1) / 0x10000 == 0x1234);
}

#ifdef WARPBERT_CUDA
// Words of cuRAND's device generator: each thread draws four, starting at its offset.
static __global__ void curand_words_kernel(uint32_t* words, const uint64_t* offsets, int n, uint64_t seed,
                                           uint64_t subsequence) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  curandStatePhilox4_32_10_t state;
  curand_init(seed, subsequence, offsets[i], &state);
  for (int j = 0; j < 4; j++) words[4 * i + j] = curand(&state);
}

TEST_CASE("random_words: the words of cuRAND's Philox") {
  const uint64_t seeds[] = {0, 1, 0xa4093822299f31d0};
  const uint32_t passes[] = {0, 1, 0xffffffff}, sites[] = {0, 77, 0x80000000};
  std::vector<uint64_t> offsets;
  for (uint64_t i = 0; i < 300; i++) offsets.push_back(i);
  Buffer<uint64_t> starts(offsets);
  Buffer<uint32_t> theirs(offsets.size() * 4);
  for (int c = 0; c < 3; c++) {
    const auto ours = words(offsets.size() + 4, seeds[c], passes[c], sites[c]);
    launch<curand_words_kernel>(3, 128, 0, nullptr, theirs.data(), starts.data(), int(offsets.size()),
                                seeds[c], uint64_t(passes[c]) << 32 | sites[c]);
    synchronize();
    size_t wrong = 0;
    for (size_t i = 0; i < offsets.size(); i++)
      for (size_t j = 0; j < 4; j++) wrong += theirs[4 * i + j] != ours[i + j];
    CHECK(wrong == 0);
  }
  // Element indices beyond 32 bits: random4 on the host against cuRAND on the device.
  for (uint64_t start : {uint64_t(1) << 34, (uint64_t(1) << 40) + 4}) {
    starts[0] = start;
    launch<curand_words_kernel>(1, 32, 0, nullptr, theirs.data(), starts.data(), 1, seeds[2],
                                uint64_t(5) << 32 | 6);
    synchronize();
    const Random4 r = random4(seeds[2], 5, 6, start / 4);
    for (int j = 0; j < 4; j++) CHECK(theirs[j] == r.v[j]);
  }
}
#endif
