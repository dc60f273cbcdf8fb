// CUDA language for g++ and clang++: keywords, built-in variables, intrinsics.
#pragma once
#include <bit>
#include <boost/context/detail/fcontext.hpp>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "simt/launch_observer.h"
#include "stream.h"

// ---- Keywords ----------------------------------------------------------------------------------
#define __global__ __attribute__((unused))
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)
// No __shared__: sanitizers cannot watch "static thread_local" arrays. Use shared<T>().

// ---- Types -------------------------------------------------------------------------------------
struct alignas(8) float2 {
  float x, y;
};
struct alignas(16) float4 {
  float x, y, z, w;
};
struct alignas(8) uint2 {
  unsigned x, y;
};
struct uint3 {
  unsigned x, y, z;
};
struct alignas(16) uint4 {
  unsigned x, y, z, w;
};
inline float2 make_float2(float x, float y) { return {x, y}; }
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
inline uint2 make_uint2(unsigned x, unsigned y) { return {x, y}; }
inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return {x, y, z, w}; }

struct dim3 {
  unsigned x, y, z;
  constexpr dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
};
using cudaStream_t = CUstream_st*;

// ---- Scheduler (block.cpp) ---------------------------------------------------------------------
// initial-exec keeps "threadIdx" one load even in a shared library.
#define SIMT_TLS __attribute__((tls_model("initial-exec")))
#define SIMT_HERE const char *file = __builtin_FILE(), int line = __builtin_LINE()
extern __thread uint3 threadIdx SIMT_TLS, blockIdx SIMT_TLS;
extern __thread dim3 blockDim SIMT_TLS, gridDim SIMT_TLS;

namespace simt {
extern __thread int current SIMT_TLS;   // index of the running CUDA thread in its block
extern __thread int run_left SIMT_TLS;  // next threads that differ only in threadIdx.x
inline int lane() { return current % 32; }

// Runs body once per CUDA thread: run(body) runs the current thread, then others while next_thread().
void run_grid(const char* signature, dim3 grid, dim3 block, size_t dynamic_bytes, void (*run)(void*),
              void* body);
bool next_thread_slowly();
inline bool next_thread() {
  if (run_left == 0) return next_thread_slowly();
  run_left--, current++, threadIdx.x++;
  return true;
}

// Pending switch to another fiber (fiber.h). perform() is inlined into kernels: each return after a switch
// mispredicts, which costs as much as the switch.
struct Switch {
  void* to;  // null: no switch needed
  void** left;
};
inline void perform(Switch s) {
  if (!s.to) return;
  const auto from = boost::context::detail::jump_fcontext(s.to, s.left);
  *static_cast<void**>(from.data) = from.fctx;
}

Switch wait_for_block(const char* file, int line);
inline void sync_block(const char* file, int line) { perform(wait_for_block(file, line)); }
void arrive_at_block(const char* file, int line);  // the thread then returns

// Rendezvous of the lanes in mask: the last to arrive calls op(args, mask), where args[i] is lane i's arg.
using MeetOp = void (*)(void** args, unsigned mask);
Switch wait_for_lanes(unsigned mask, const char* what, const char* file, int line, MeetOp op, void* arg);
inline void meet(unsigned mask, const char* what, const char* file, int line, MeetOp op = nullptr,
                 void* arg = nullptr) {
  perform(wait_for_lanes(mask, what, file, line, op, arg));
}

void* static_storage(const void* key, size_t bytes, const char* file, int line);
void* dynamic_storage(const char* file, int line);

// Prints the message with kernel, block and thread, and aborts.
[[noreturn]] void fail(const char* format, ...) __attribute__((format(printf, 1, 2)));

template <class T, int Tag>
inline char key;
}  // namespace simt

template <auto Kernel, class... Args>
void launch(dim3 grid, dim3 block, size_t dynamic_bytes, cudaStream_t stream, const Args&... args) {
  const char* signature = __PRETTY_FUNCTION__;
  const simt::Observed observed([&] {
    return simt::Launch{
        signature, {grid.x, grid.y, grid.z}, {block.x, block.y, block.z}, dynamic_bytes, stream, 0,
        0,         {{&args, sizeof args}...}};
  });
  const auto run = [=] {
    auto body = [&] { Kernel(args...); };
    const auto threads = [](void* b) {
      do (*static_cast<decltype(body)*>(b))();
      while (simt::next_thread());
    };
    simt::run_grid(signature, grid, block, dynamic_bytes, threads, &body);
  };
  if (!stream || !stream->graph) run();
  else simt::enqueue(stream, run);
}

template <class T, int Tag = 0>
T& shared(SIMT_HERE) {
  return *static_cast<T*>(simt::static_storage(&simt::key<T, Tag>, sizeof(T), file, line));
}
template <class T>
T* dynamic_shared(SIMT_HERE) {
  return static_cast<T*>(simt::dynamic_storage(file, line));
}

// ---- Synchronization, shuffles, atomics --------------------------------------------------------
inline void __syncthreads(SIMT_HERE) { simt::sync_block(file, line); }
// Only the last warp waits; the others' threads arrive and run to their end, without a switch.
inline bool sync_into_last_warp(SIMT_HERE) {
  const bool last = threadIdx.x + 32 >= blockDim.x;
  if (last) simt::sync_block(file, line);
  else simt::arrive_at_block(file, line);
  return last;
}
inline void __syncwarp(unsigned mask = ~0u, SIMT_HERE) { simt::meet(mask, "__syncwarp", file, line); }

namespace simt {
template <class T>
struct Shuffle {
  T in, out;
  int from;
};

template <class T>
T shuffle(unsigned mask, T value, int from, const char* what, const char* file, int line) {
  Shuffle<T> s{value, value, from};
  meet(
      mask, what, file, line,
      [](void** args, unsigned m) {
        for (int i = 0; i < 32; i++) {
          if (!(m >> i & 1)) continue;
          auto& me = *static_cast<Shuffle<T>*>(args[i]);
          if (!(m >> me.from & 1))
            fail("lane %d shuffles from lane %d, which is not in mask %08x", i, me.from, m);
          me.out = static_cast<Shuffle<T>*>(args[me.from])->in;
        }
      },
      &s);
  return s.out;
}
}  // namespace simt

template <class T>
T __shfl_sync(unsigned mask, T v, int from, SIMT_HERE) {
  return simt::shuffle(mask, v, from & 31, "__shfl_sync", file, line);
}
template <class T>
T __shfl_xor_sync(unsigned mask, T v, int x, SIMT_HERE) {
  return simt::shuffle(mask, v, (simt::lane() ^ x) & 31, "__shfl_xor_sync", file, line);
}

inline int min(int a, int b) { return a < b ? a : b; }
inline int max(int a, int b) { return a > b ? a : b; }
// fmaxf, without the call
inline float max(float a, float b) { return a >= b || b != b ? a : b; }

// warp_sum and warp_max in one rendezvous: the first lane's part of the butterfly, which by commutativity has
// every lane's bits.
namespace simt {
template <int lanes, class T, class F>
T warp_reduce(T x, F, const char* what, const char* file, int line) {
  meet(
      ~0u, what, file, line,
      [](void** args, unsigned) {
        for (int group = 0; group < 32; group += lanes) {
          T v[lanes];
          for (int i = 0; i < lanes; i++) v[i] = *static_cast<T*>(args[group + i]);
          for (int n = lanes / 2; n > 0; n /= 2)
            for (int i = 0; i < n; i++) v[i] = F()(v[i], v[i + n]);
          for (int i = 0; i < lanes; i++) *static_cast<T*>(args[group + i]) = v[0];
        }
      },
      &x);
  return x;
}
}  // namespace simt
template <int lanes = 32, class T>
T warp_sum(T x, SIMT_HERE) {
  return simt::warp_reduce<lanes>(
      x, [](T a, T b) { return a + b; }, "warp_sum", file, line);
}
template <int lanes = 32, class T>
T warp_max(T x, SIMT_HERE) {
  return simt::warp_reduce<lanes>(
      x, [](T a, T b) { return max(a, b); }, "warp_max", file, line);
}

inline int atomicAdd(int* p, int v) { return __atomic_fetch_add(p, v, __ATOMIC_RELAXED); }
inline unsigned atomicAdd(unsigned* p, unsigned v) { return __atomic_fetch_add(p, v, __ATOMIC_RELAXED); }

// ---- Arithmetic --------------------------------------------------------------------------------
// 2ˣ = 2ⁿ·eʳ, |r| <= ln 2/2 (Cephes's expf), to 2 ulp; 0 below 2⁻¹²⁵. No call or branch, so that loops
// vectorize.
inline float fast_exp2(float x) {
  float n = x < 128.0f ? x : 128.0f;
  n = n > -125.0f ? n : -125.0f;
  n = (n + 12582912.0f) - 12582912.0f;  // 1.5·2²³: rounds to an integer
  const float r = (x - n) * 0.693147181f;
  const float series =
      0.5f + r * (0.166666655f +
                  r * (0.0416657959f + r * (0.00833345191f + r * (0.0013981999f + r * 0.000198756915f))));
  const float result = 2 * (1 + (r + r * r * series)) * std::bit_cast<float>((int(n) + 126) << 23);
  return x < -125.0f ? 0.0f : result;
}
typedef float Float4 __attribute__((vector_size(16)));
inline void fma4(Float4& sum, Float4 x, Float4 y) { sum += x * y; }
inline float __logf(float x) { return logf(x); }
inline float rsqrtf(float x) { return 1.0f / sqrtf(x); }
inline float fast_reciprocal(float x) { return 1.0f / x; }
inline float __uint_as_float(unsigned u) { return std::bit_cast<float>(u); }

// ---- Warp matrix operations (mma.cpp), asynchronous copies (shared.cpp) ------------------------
namespace simt {
// stage_*() store the lane's operands and return the address of its result, valid after the rendezvous.
const float* stage_mma(const uint32_t* a, const uint32_t* b, const float* c);
const uint32_t* stage_row(const uint32_t* row);
void mma_bf16(void**, unsigned);
void ldmatrix(void**, unsigned);
void ldmatrix_trans(void**, unsigned);

inline void load_matrices(uint32_t (&r)[4], const void* row, const char* what, const char* file, int line,
                          MeetOp op) {
  uint32_t mine[4];  // each lane reads its own row, for sanitizers
  memcpy(mine, __builtin_assume_aligned(row, 16), 16);
  const uint32_t* result = stage_row(mine);
  meet(~0u, what, file, line, op);
  for (int i = 0; i < 4; i++) r[i] = result[i];
}

struct Copy {  // by cp.async: `count` times 16 bytes, adjacent
  char* to;
  const char* from;
  int group, count;
};
void cp_async(void* to, const void* from, const char* file, int line);
void cp_async_commit();
// Copies that may happen now, with at most `pending` groups left; none: all have happened.
std::span<const Copy> cp_async_ready(int pending);
}  // namespace simt

inline void mma_m16n8k16_bf16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2],
                              const float (&c)[4], SIMT_HERE) {
  const float* result = simt::stage_mma(a, b, c);
  simt::meet(~0u, "mma_m16n8k16_bf16", file, line, simt::mma_bf16);
  for (int i = 0; i < 4; i++) d[i] = result[i];
}
inline void ldmatrix_x4(uint32_t (&r)[4], const void* row, SIMT_HERE) {
  simt::load_matrices(r, row, "ldmatrix_x4", file, line, simt::ldmatrix);
}
inline void ldmatrix_x4_trans(uint32_t (&r)[4], const void* row, SIMT_HERE) {
  simt::load_matrices(r, row, "ldmatrix_x4_trans", file, line, simt::ldmatrix_trans);
}
// Copies in cp_async_wait, as late as permitted; until then the target holds NaNs (../README.md).
inline void cp_async16(void* to, const void* from, SIMT_HERE) {
  simt::cp_async(to, from, file, line);
  const uint64_t neither[2] = {~uint64_t(0), ~uint64_t(0)};
  memcpy(to, neither, 16);
}
inline void cp_async_commit() { simt::cp_async_commit(); }
template <int Pending>
void cp_async_wait() {
  for (auto ready = simt::cp_async_ready(Pending); !ready.empty(); ready = simt::cp_async_ready(Pending))
    for (const simt::Copy& copy : ready)
      for (int i = 0; i < copy.count; i++) memcpy(copy.to + 16 * i, copy.from + 16 * i, 16);
}
