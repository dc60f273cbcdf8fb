// Philox words for tests against Random123's published answers and cuRAND. Training stores no random words.
// A thread owns one 128-bit Philox block: 20 wide multiplications, one 16-byte store.
#include "launch.h"
#include "philox.h"
#include "simt/simt.h"

namespace warpbert::kernels {

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

void random_words(Stream stream, uint32_t* words, size_t n, uint32_t site, const RandomState* random) {
  if (!n) return;
  if (!words || !random) refuse("random_words", "no words or no state, n = " + std::to_string(n));
  launch<random_words_kernel>(unsigned((n + 1023) / 1024), 256, 0, stream, words, n, site, random);
}

}  // namespace warpbert::kernels
