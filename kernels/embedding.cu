// Embedding look-up and its gradients; see docs/kernels/embedding.md.
//
// The word gradient takes rows sorted by word, in chunks of 32. A run, the rows of one word, leaves partial
// sums in the workspace when it crosses chunks.
#include "launch.h"
#include "strip.cuh"

namespace warpbert::kernels {
namespace {

constexpr unsigned most_threads = 256;  // per block, forward
constexpr int chunk_rows = 32;

template <class T>
__global__ void __launch_bounds__(most_threads)
    embedding_forward_kernel(T* __restrict__ y, const int* __restrict__ ids,
                             const int* __restrict__ positions, const T* __restrict__ word,
                             const T* __restrict__ position, const T* __restrict__ segment, Rows rows,
                             int hidden) {
  const int row = int(blockIdx.x), step = int(blockDim.x) * 8;
  T* const to = y + size_t(row) * hidden;
  if (row >= *rows.count) {
    for (int c = int(threadIdx.x) * 8; c < hidden; c += step) store8(to + c, Float8{});
    return;
  }
  const T *w = word + size_t(ids[row]) * hidden, *p = position + size_t(positions[row]) * hidden;
  for (int c = int(threadIdx.x) * 8; c < hidden; c += step) {
    Float8 sum = load8(w + c);
    sum += load8(p + c);
    sum += load8(segment + c);
    store8(to + c, sum);
  }
}

// workspace: [chunks, 2, H]. head: sum of a run that began before the chunk. tail: sum of a run that begins
// in it and continues.
__device__ __forceinline__ float* head(float* workspace, int chunk, int hidden) {
  return workspace + size_t(chunk) * 2 * hidden;
}
__device__ __forceinline__ float* tail(float* workspace, int chunk, int hidden) {
  return workspace + (size_t(chunk) * 2 + 1) * hidden;
}

// A chunk's rows and words, plus one at either end; −1: no word.
struct Sorted {
  int row[chunk_rows + 2], word[chunk_rows + 2];
};

__device__ __forceinline__ void load_sorted(Sorted& sorted, const int* ids, const int* order, int count) {
  const int begin = int(blockIdx.y) * chunk_rows - 1;
  for (int i = int(threadIdx.x); i < chunk_rows + 2; i += 32) {
    const bool real = begin + i >= 0 && begin + i < count;
    const int row = real ? order[begin + i] : 0;
    sorted.row[i] = row;
    sorted.word[i] = real ? ids[row] : -1;
  }
}

template <class T>
__global__ void __launch_bounds__(32)
    embedding_backward_word_kernel(float* __restrict__ dword, float* __restrict__ workspace,
                                   const T* __restrict__ dy, const int* __restrict__ ids,
                                   const int* __restrict__ order, const int* count, int hidden) {
  const int n = *count, chunk = int(blockIdx.y), column = strip_column();
  auto& sorted = shared<Sorted>();
  load_sorted(sorted, ids, order, n);
  __syncwarp();  // sorted is complete
  if (chunk * chunk_rows >= n || column >= hidden) return;

  const int before = sorted.word[0], after = sorted.word[1 + chunk_rows];
  constexpr int batch = 8;  // loads in flight
  Float8 sum = {};
  for (int i = 1; i <= chunk_rows; i += batch) {
    Float8 d[batch], old[batch];
#pragma unroll
    for (int k = 0; k < batch; k++) {
      const int word = sorted.word[i + k];
      d[k] = load8(dy + size_t(sorted.row[i + k]) * hidden + column);  // past the end: row 0, unused
      const bool whole_run_ends = word >= 0 && word != sorted.word[i + k + 1] && word != before;
      old[k] = whole_run_ends ? load8(dword + size_t(word) * hidden + column) : Float8{};
    }
#pragma unroll
    for (int k = 0; k < batch; k++) {
      const int word = sorted.word[i + k];
      if (word < 0) return;
      sum += d[k];
      const bool last = i + k == chunk_rows;
      if (!last && sorted.word[i + k + 1] == word) continue;
      if (word == before) {
        store8(head(workspace, chunk, hidden) + column, sum);
      } else if (last && word == after) {
        store8(tail(workspace, chunk, hidden) + column, sum);
      } else {
        sum += old[k];  // nothing else adds to this word here
        store8(dword + size_t(word) * hidden + column, sum);
      }
      sum = Float8{};
    }
  }
}

// Adds up runs in the chunk where they begin.
static __global__ void __launch_bounds__(32)
    embedding_backward_word_finish_kernel(float* __restrict__ dword, float* __restrict__ workspace,
                                          const int* __restrict__ ids, const int* __restrict__ order,
                                          const int* count, int hidden) {
  const int n = *count, chunk = int(blockIdx.y), column = strip_column();
  const int begin = chunk * chunk_rows, end = begin + chunk_rows;
  if (end >= n || column >= hidden) return;

  const int id = ids[order[end - 1]];
  if (ids[order[end]] != id) return;                     // no run crosses this border
  if (begin > 0 && ids[order[begin - 1]] == id) return;  // it began before
  Float8 sum = load8(tail(workspace, chunk, hidden) + column);
  for (int i = end; i < n && ids[order[i]] == id; i += chunk_rows)
    sum += load8(head(workspace, i / chunk_rows, hidden) + column);
  float* const to = dword + size_t(id) * hidden + column;
  sum += load8(to);
  store8(to, sum);
}

// Adds the rows at `position` of N sequences, 8 apart, loads in flight.
template <int N, class T>
__device__ __forceinline__ void add_rows(Float8& sum, const T* dy, const int* starts, int position,
                                         int hidden) {
  int row[N], end[N];
#pragma unroll
  for (int k = 0; k < N; k++)
    row[k] = starts[k * strip_warps] + position, end[k] = starts[k * strip_warps + 1];
  Raw8<T> gradient[N];
#pragma unroll
  for (int k = 0; k < N; k++)
    gradient[k] = row[k] < end[k] ? load_raw8(dy + size_t(row[k]) * hidden) : Raw8<T>{};
#pragma unroll
  for (int k = 0; k < N; k++)
    if (row[k] < end[k]) sum += unpack8(gradient[k]);
}

// One block per position and strip; eight warps take every eighth sequence.
template <class T>
__global__ void __launch_bounds__(32 * strip_warps)
    embedding_backward_position_kernel(float* __restrict__ dposition, const T* __restrict__ dy,
                                       const int* __restrict__ starts, int sequences, int hidden,
                                       bool accumulate) {
  const int position = int(blockIdx.y), column = strip_column();
  Float8 mine = {};
  if (column < hidden) {
    int b = strip_warp();
    for (; b + 3 * strip_warps < sequences; b += 4 * strip_warps)
      add_rows<4>(mine, dy + column, starts + b, position, hidden);
    for (; b < sequences; b += strip_warps) add_rows<1>(mine, dy + column, starts + b, position, hidden);
  }
  const float sum = sum_over_warps(mine);
  const int c = int(blockIdx.x) * strip_columns + int(threadIdx.x);
  if (c >= hidden) return;
  float* to = dposition + size_t(position) * hidden + c;
  *to = accumulate ? *to + sum : sum;
}

int chunks(int capacity) { return (capacity + chunk_rows - 1) / chunk_rows; }

}  // namespace

void embedding_forward(Stream stream, View y, const EmbeddingTables& tables, const int* ids,
                       const int* positions) {
  check_columns("embedding_forward", y, {tables.word, tables.position, tables.segment});
  if (y.rows.capacity == 0) return;
  with_dtype(y.dtype, [&]<class T>() {
    launch<embedding_forward_kernel<T>>(unsigned(y.rows.capacity), row_threads(y.cols, most_threads), 0,
                                        stream, y.as<T>(), ids, positions, tables.word.as<T>(),
                                        tables.position.as<T>(), tables.segment.as<T>(), y.rows, y.cols);
  });
}

size_t embedding_workspace(int capacity, int hidden) { return size_t(chunks(capacity)) * 2 * hidden; }

static void check_gradient(const char* launcher, const View& table, const View& dy) {
  check_view(launcher, dy);
  if (table.dtype != DType::f32 || table.cols != dy.cols || table.rows.capacity < 0)
    refuse(launcher, "a gradient of ", shape(table), " from ", shape(dy), "; a float one is needed");
}

void embedding_backward_word(Stream stream, View dword, float* workspace, View dy, const int* ids,
                             const int* order) {
  check_gradient("embedding_backward_word", dword, dy);
  if (dy.rows.capacity == 0) return;
  const dim3 grid = strip_grid(dy.cols, chunks(dy.rows.capacity));
  with_dtype(dy.dtype, [&]<class T>() {
    launch<embedding_backward_word_kernel<T>>(grid, 32, 0, stream, dword.as<float>(), workspace, dy.as<T>(),
                                              ids, order, dy.rows.count, dy.cols);
  });
  launch<embedding_backward_word_finish_kernel>(grid, 32, 0, stream, dword.as<float>(), workspace, ids, order,
                                                dy.rows.count, dy.cols);
}

void embedding_backward_position(Stream stream, GradView dposition, View dy, const Sequences& sequences) {
  const View& table = dposition.view;
  check_gradient("embedding_backward_position", table, dy);
  if (sequences.count < 0 || table.rows.capacity > 65535)
    refuse("embedding_backward_position", sequences.count, " sequences, ", table.rows.capacity, " positions");
  if (table.rows.capacity == 0) return;
  with_dtype(dy.dtype, [&]<class T>() {
    launch<embedding_backward_position_kernel<T>>(
        strip_grid(dy.cols, table.rows.capacity), 32 * strip_warps, 0, stream, table.as<float>(), dy.as<T>(),
        sequences.starts, sequences.count, dy.cols, dposition.mode == Grad::accumulate);
  });
}

}  // namespace warpbert::kernels
