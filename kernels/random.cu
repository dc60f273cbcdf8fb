// The generator by itself: words[i] = word i of (seed, pass, site), to be compared with known answers and with cuRAND.
// Philox makes four words at a time, so a thread writes four.
#include "kernels.h"
#include "philox.h"
#include "simt.h"

namespace warpbert::kernels {

static __global__ void __launch_bounds__(256)
    random_words_kernel(uint32_t* __restrict__ words, size_t n, uint32_t site, const RandomState* __restrict__ random) {
  const size_t group = size_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (group * 4 >= n) return;
  const Random4 r = random4(random->seed, random->pass, site, group);
#pragma unroll
  for (int k = 0; k < 4; k++)
    if (group * 4 + k < n) words[group * 4 + k] = r.v[k];
}

void random_words(Stream stream, uint32_t* words, size_t n, uint32_t site, const RandomState* random) {
  if (n) launch<random_words_kernel>(unsigned((n + 1023) / 1024), 256, 0, stream, words, n, site, random);
}

}  // namespace warpbert::kernels
