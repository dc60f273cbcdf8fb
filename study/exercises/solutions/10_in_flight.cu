// Solution of exercise 10: sums of the columns of [4·tiles, 128]. While a tile of four rows is added, the
// next ones are copied: a group of copies a tile, two groups in flight.
#include "simt/simt.h"

static __global__ void streamed_sums_kernel(float* sums, const float* x, int tiles) {
  auto& ring = shared<float[3][4 * 128]>();
  const int thread = int(threadIdx.x);
  const auto start_copy = [&](int tile) {
    if (tile < tiles) cp_async16(&ring[tile % 3][thread * 4], x + tile * 512 + thread * 4);
    cp_async_commit();  // an empty group past the last tile
  };
  start_copy(0), start_copy(1);
  float sum = 0;
  for (int tile = 0; tile < tiles; tile++) {
    cp_async_wait<1>();  // all groups but the newest one: that of tile + 1
    __syncthreads();     // the tile is complete, and the tile before it is read: its place is free
    start_copy(tile + 2);
    for (int row = 0; row < 4; row++) sum += ring[tile % 3][row * 128 + thread];
  }
  sums[thread] = sum;
}
