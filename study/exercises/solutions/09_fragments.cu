// Solution of exercise 9: c = x·yᵀ of two 16 × 64 tiles by one warp's tensor cores.
#include "kernels/vector.cuh"

using warpbert::bf16, warpbert::kernels::load8, warpbert::kernels::store8;

constexpr int stride = 72;  // of a tile's row: 9 pieces of 16 bytes; row r starts in piece r of the banks' 8
static __device__ int x_row(int lane) { return lane % 16; }  // matrices: upper, lower; then 8 columns right
static __device__ int x_column(int lane) { return lane / 16 * 8; }
static __device__ int sum_row(int lane, int i) { return lane / 4 + i / 2 * 8; }
static __device__ int sum_column(int lane, int i) { return lane % 4 * 2 + i % 2; }

static __global__ void multiply_kernel(float* c, const float* x, const float* y) {
  auto& tiles = shared<bf16[2][16 * 80]>();
  const int lane = int(threadIdx.x);
  for (int i = lane; i < 16 * 64 / 8; i += 32) {
    store8(&tiles[0][i / 8 * stride + i % 8 * 8], load8(x + i * 8));
    store8(&tiles[1][i / 8 * stride + i % 8 * 8], load8(y + i * 8));
  }
  __syncwarp();          // the tiles are stored
  float sum[2][4] = {};  // columns 0 to 7 of c, columns 8 to 15
  for (int k = 0; k < 64; k += 16) {
    uint32_t a[4], b[4];
    ldmatrix_x4(a, &tiles[0][x_row(lane) * stride + x_column(lane) + k]);
    ldmatrix_x4(b, &tiles[1][(lane % 8 + lane / 16 * 8) * stride + lane / 8 % 2 * 8 + k]);
    mma_m16n8k16_bf16(sum[0], a, {b[0], b[1]}, sum[0]);
    mma_m16n8k16_bf16(sum[1], a, {b[2], b[3]}, sum[1]);
  }
  for (int i = 0; i < 4; i++)
    for (int n = 0; n < 2; n++) c[sum_row(lane, i) * 16 + n * 8 + sum_column(lane, i)] = sum[n][i];
}
