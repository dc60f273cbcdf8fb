// A warp owns a row and reads it once. A lane holds V = ⌈H/256⌉ vectors of 8 adjacent values.
#pragma once
#include <initializer_list>

#include "dropout.cuh"
#include "launch.h"
#include "vector.cuh"

namespace warpbert::kernels {
namespace norm {

constexpr int warps = 4;  // per block

// First column of vector j. Past the row's end, load_column gives the last vector, for gains and biases only:
// a branch would delay the next load. Only its owner reads a row value, so y may be x.
__device__ __forceinline__ int lane_column(int j) { return j * 256 + int(threadIdx.x) % 32 * 8; }
__device__ __forceinline__ int load_column(int j, int hidden) { return min(lane_column(j), hidden - 8); }

template <class T, int V>
__device__ __forceinline__ void load_row(Float8 (&to)[V], const T* row, int hidden) {
#pragma unroll
  for (int j = 0; j < V; j++) to[j] = lane_column(j) < hidden ? load8(row + lane_column(j)) : Float8{};
}

template <class T, int V>
__device__ __forceinline__ void store_zeros(T* row, int hidden) {
#pragma unroll
  for (int j = 0; j < V; j++)
    if (const int c = lane_column(j); c < hidden) store8(row + c, Float8{});
}

// ---- Launchers --------------------------------------------------------------------------------------------
template <class F>
void choose(const char* launcher, const NormArgs& args, std::initializer_list<View> others, F f) {
  const View& x = args.x;
  if (x.cols > 1024) refuse(launcher, shape(x), ": at most 1024 columns");
  check_views(launcher, x, others);
  check_dropout(launcher, args.dropout);
  if (x.rows.capacity == 0) return;
  with_one_of<1, 2, 3, 4>((x.cols + 255) / 256, [&]<int V>() {
    with_dtype(x.dtype, [&]<class T>() {
      if (args.dropout.rate > 0) f.template operator()<T, V, true>();
      else f.template operator()<T, V, false>();
    });
  });
}

}  // namespace norm
}  // namespace warpbert::kernels
