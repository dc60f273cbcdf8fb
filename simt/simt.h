// CUDA kernel language for GPUs (nvcc) and for the CPU simulator (g++ or clang++, cpu/). Kernels include no
// CUDA header.
//
// Kernels are plain CUDA C++ plus:
//   launch<kernel>(grid, block, dynamic_shared_bytes, stream, args...)   instead of <<<>>>
//   shared<T>(), shared<T, 1>(), dynamic_shared<T>()                     instead of __shared__
//   bf16, pack_bf16                                                      instead of cuda_bf16.h
//   warp_sum, warp_max                                  faster in the simulator than five shuffles
//   sync_into_last_warp                                 a barrier at which the simulator suspends one warp
//   Float4, fma4                                        one register and one instruction in the simulator
//   fast_exp2, fast_exp, fast_reciprocal                                 instead of __expf, __fdividef
//   mma_m16n8k16_bf16, ldmatrix_x4, ldmatrix_x4_trans, cp_async16, ...   instead of inline PTX
#pragma once
#include <cstddef>
#include <cstdint>

#include "bf16.h"

#ifndef __CUDACC__
#include "simt/cpu/language.h"
#else
#include <cuda_runtime.h>

#include <stdexcept>

#include "kernel_name.h"
#include "launch_observer.h"

// The block's shared variable of type T; the same storage for the same T and Tag.
template <class T, int Tag = 0>
__device__ __forceinline__ T& shared() {
  __shared__ __align__(128) T storage;
  return storage;
}

template <class T>
__device__ __forceinline__ T* dynamic_shared() {
  extern __shared__ __align__(128) unsigned char simt_dynamic_shared[];
  return reinterpret_cast<T*>(simt_dynamic_shared);
}

namespace simt {
// The kernel's limit; never lowered, as captured graphs keep larger launches.
template <auto Kernel>
inline size_t allowed_dynamic_bytes = 0;
}  // namespace simt

// Throws std::runtime_error if CUDA rejects the launch (the simulator: std::invalid_argument).
template <auto Kernel, class... Args>
void launch(dim3 grid, dim3 block, size_t dynamic_bytes, cudaStream_t stream, Args&&... args) {
  const char* signature = __PRETTY_FUNCTION__;
  const simt::Observed observed([&] {
    return simt::Launch{
        signature, {grid.x, grid.y, grid.z}, {block.x, block.y, block.z}, dynamic_bytes, stream};
  });
  cudaError_t e = cudaSuccess;
  size_t& allowed = simt::allowed_dynamic_bytes<Kernel>;
  if (dynamic_bytes > allowed) {
    e = cudaFuncSetAttribute(Kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, int(dynamic_bytes));
    if (e == cudaSuccess) allowed = dynamic_bytes;
  }
  cudaLaunchConfig_t config = {};
  config.gridDim = grid, config.blockDim = block, config.dynamicSmemBytes = dynamic_bytes,
  config.stream = stream;
  if (e == cudaSuccess) e = cudaLaunchKernelEx(&config, Kernel, args...);
  if (e != cudaSuccess)
    throw std::runtime_error(
        simt::launch_error(signature, grid, block, dynamic_bytes, cudaGetErrorString(e)));
}

// d = a * b + c for one warp: a 16x16 bf16 (row-major), b 16x8 bf16 (column-major), c and d 16x8 float.
__device__ __forceinline__ void mma_m16n8k16_bf16(float (&d)[4], const uint32_t (&a)[4],
                                                  const uint32_t (&b)[2], const float (&c)[4]) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
      "{%10,%11,%12,%13};"
      : "=f"(d[0]), "=f"(d[1]), "=f"(d[2]), "=f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]), "f"(c[0]), "f"(c[1]), "f"(c[2]),
        "f"(c[3]));
}

// Loads four 8x8 matrices of 16-bit elements; lane i passes the address of row i % 8 of matrix i / 8.
__device__ __forceinline__ void ldmatrix_x4(uint32_t (&r)[4], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(uint32_t(__cvta_generic_to_shared(row)))
               : "memory");
}
__device__ __forceinline__ void ldmatrix_x4_trans(uint32_t (&r)[4], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(uint32_t(__cvta_generic_to_shared(row)))
               : "memory");
}

// Asynchronous 16-byte copy from global to shared memory; visible to this thread after cp_async_wait.
__device__ __forceinline__ void cp_async16(void* to_shared, const void* from_global) {
  asm volatile(
      "cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(uint32_t(__cvta_generic_to_shared(to_shared))),
      "l"(from_global)
      : "memory");
}
__device__ __forceinline__ void cp_async_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }
template <int Pending>
__device__ __forceinline__ void cp_async_wait() {
  asm volatile("cp.async.wait_group %0;" ::"n"(Pending) : "memory");
}

// __syncthreads() of a one-dimensional block, after which its last warp alone goes on: false in all other
// threads, which must then return.
__device__ __forceinline__ bool sync_into_last_warp() {
  __syncthreads();
  return threadIdx.x + 32 >= blockDim.x;
}

// 2ˣ and 1/x to 2 ulp; subnormal results become 0. Keeping them, as __expf and __fdividef do, costs three
// instructions more.
__device__ __forceinline__ float fast_exp2(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}
__device__ __forceinline__ float fast_reciprocal(float x) {
  float y;
  asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

struct alignas(16) Float4 {
  float v[4];
  __device__ __forceinline__ float& operator[](int i) { return v[i]; }
  __device__ __forceinline__ float operator[](int i) const { return v[i]; }
};
__device__ __forceinline__ void fma4(Float4& sum, const Float4& x, const Float4& y) {
#pragma unroll
  for (int i = 0; i < 4; i++) sum[i] += x[i] * y[i];
}

// Rounded on its own: a plain + could fuse with the product that x came from, which differs by lane.
__device__ __forceinline__ float rounded_sum(float x, float y) { return __fadd_rn(x, y); }
__device__ __forceinline__ double rounded_sum(double x, double y) { return __dadd_rn(x, y); }

// Sum and maximum of aligned groups of lanes, in butterfly order: every lane of a group gets the same bits.
template <int lanes = 32, class T>
__device__ __forceinline__ T warp_sum(T x) {
#pragma unroll
  for (int i = lanes / 2; i > 0; i /= 2) x = rounded_sum(x, __shfl_xor_sync(0xffffffff, x, i));
  return x;
}
template <int lanes = 32, class T>
__device__ __forceinline__ T warp_max(T x) {
#pragma unroll
  for (int i = lanes / 2; i > 0; i /= 2) x = max(x, __shfl_xor_sync(0xffffffff, x, i));
  return x;
}
#endif

// eˣ; loses about log₂|x| of the 24 significand bits, as __expf does.
__device__ __forceinline__ float fast_exp(float x) { return fast_exp2(x * 1.44269504f); }

// Two bf16 in one register, `low` in the lower half.
__device__ __forceinline__ uint32_t pack_bf16(float low, float high) {
#ifdef __CUDA_ARCH__
  const __nv_bfloat162 v = __floats2bfloat162_rn(low, high);
  return *reinterpret_cast<const uint32_t*>(&v);
#else
  return warpbert::to_bf16(low).bits | uint32_t(warpbert::to_bf16(high).bits) << 16;
#endif
}
