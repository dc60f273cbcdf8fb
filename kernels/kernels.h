// Kernel launchers: formulas, shapes, preconditions; docs/kernels/ has the rest.
//
// Activations and weight matrices are T, float or bf16, the same in all such views of a call; all else is
// float. [N, H] is row-major, N token rows of the packed batch, H a multiple of 8. Outputs are overwritten
// unless marked "+=" or given as a GradView.
//
// Pointers are device pointers, 16-byte aligned. Launchers throw std::invalid_argument for unfit dtypes or
// sizes. Reductions have a fixed order, without float atomics.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>

#include "simt/bf16.h"

struct CUstream_st;

namespace warpbert::kernels {

using Stream = CUstream_st*;

enum class DType { f32, bf16 };
template <class T>
constexpr DType dtype_of = sizeof(T) == 2 ? DType::bf16 : DType::f32;
constexpr size_t size_of(DType dtype) { return dtype == DType::bf16 ? 2 : 4; }

// `capacity` sizes grids and buffers; `*count` is read on the device, so one graph serves many batches.
// Padding rows, *count … capacity: outputs get zeros, inputs are not read, sums exclude them.
struct Rows {
  int capacity = 0;
  const int* count = nullptr;  // device; null for parameters
};

// Row-major, in device memory; ld: leading dimension in elements, a multiple of 8.
struct View {
  void* data = nullptr;
  DType dtype = DType::f32;
  Rows rows;
  int cols = 0, ld = 0;

  template <class T>
  T* as() const {
    return static_cast<T*>(data);
  }
};

template <class T>
View view(T* data, Rows rows, int cols) {
  return {data, dtype_of<T>, rows, cols, cols};
}

// "=" for a gradient's first write of a backward pass, then "+=".
enum class Grad { overwrite, accumulate };

struct GradView {
  View view;
  Grad mode = Grad::overwrite;
};

// Rows of sequence b: starts[b] … starts[b+1].
struct Sequences {
  const int* starts = nullptr;  // device, [count + 1]
  int count = 0;                // upper bound, <= 65534; unused sequences are empty
  int max_length = 0;           // upper bound, <= max_positions
  int max_positions = 0;
};

// Random key of a forward pass.
struct RandomState {
  uint64_t seed;
  uint32_t pass;
  uint32_t first_row = 0;  // offset of this shard's rows in the whole batch
};

// Keeps element i iff half-word i of (seed, pass, site) >= rate·2¹⁶ (philox.h), and divides it by 1−rate.
// Element = (first_row + row)·columns + column unless stated otherwise.
struct Dropout {
  float rate = 0;  // rounded to a multiple of 2⁻¹⁶ below 1; 0: off, `random` may be null
  uint32_t site = 0;
  const RandomState* random = nullptr;  // device
};

// ---- embedding.cu (Devlin et al. 2019, §3) ----------------------------------------------------------------

struct EmbeddingTables {
  View word, position, segment;  // [*, H]
};

// y[i] = word[ids[i]] + position[positions[i]] + segment[0]; y: [N, H].
void embedding_forward(Stream, View y, const EmbeddingTables&, const int* ids, const int* positions);

// dword[v] += Σ dy[i] over ids[i] = v; dword: float [*, H], dy: [N, H]. order: rows sorted by (id, row).
// workspace: embedding_workspace() floats.
void embedding_backward_word(Stream, View dword, float* workspace, View dy, const int* ids, const int* order);
size_t embedding_workspace(int capacity, int hidden);

// dposition[p] = or += Σ_b dy[starts[b] + p] over sequences longer than p; dposition: float [*, H].
void embedding_backward_position(Stream, GradView dposition, View dy, const Sequences&);

// ---- layer_norm_*.cu: rstd = 1/√(Σ(x − mean)²/H + ε) (Ba et al. 2016); H <= 1024 --------------------------

struct NormArgs {
  View x;                                         // [N, H]; h in the fused form
  float *mean = nullptr, *rstd = nullptr;         // [N], written by forward
  const float *gamma = nullptr, *beta = nullptr;  // [H]; backward needs no beta
  float epsilon = 0;
  Dropout dropout;
};

// y = dropout(γ·(x − mean)·rstd + β); y: [N, H].
void layer_norm_forward(Stream, View y, const NormArgs&);

// g = dropout'(dy); dx = or += rstd·(γg − mean(γg) − x̂·mean(γg·x̂)), x̂ = (x − mean)·rstd
// partials: [norm_blocks(), 2, H], sums of g·x̂ (dγ) and g (dβ).
void layer_norm_backward(Stream, GradView dx, float* partials, View dy, const NormArgs&);

// Step around a post-norm sublayer (Vaswani et al. 2017, §3.1, §5.4); x, h, y: [N, H], h may be x:
//   h = residual + dropout(x + bias);  y = γ·(h − mean)·rstd + β, statistics of h as rounded to T
void add_dropout_norm_forward(Stream, View y, View x, const float* bias, View residual, const NormArgs& h);

// dh as in layer_norm_backward; dresidual = or += dh; dx = dropout'(dh); dx may be dy.
// partials: [norm_blocks(), 3, H], sums of dy·ĥ (dγ), dy (dβ) and unrounded dx (dbias).
void add_dropout_norm_backward(Stream, View dx, GradView dresidual, float* partials, View dy,
                               const NormArgs& h);
int norm_blocks(int capacity);

// ---- gelu.cu (Hendrycks & Gimpel 2016, eq. 1) -------------------------------------------------------------

// y = gelu(x + bias), gelu(u) = u·Φ(u); x, y: [N, C].
void bias_gelu_forward(Stream, View y, View x, const float* bias);

// dx = dy·gelu'(x + bias), gelu'(u) = Φ(u) + u·φ(u); dx may be dy.
// partials: [partial_blocks(), C], sums of unrounded dx.
void bias_gelu_backward(Stream, View dx, float* partials, View dy, View x, const float* bias);

// ---- partial_sums.cu: sums over rows ----------------------------------------------------------------------

// partials: [partial_blocks(), C], sums over each block's rows of x: [N, C].
void partial_sums(Stream, float* partials, View x);
int partial_blocks(int capacity);

// out[c] = or += Σ_b partials[b·stride + c]. Extra blocks of zeros change no bit.
struct Reduction {
  float* out;
  Grad mode;
  const float* partials;
  int blocks, stride, columns;
};
constexpr int max_reductions = 8;
void reduce_partials(Stream, const Reduction* reductions, int n);  // host array, n <= max_reductions

// ---- attention_*.cu (Vaswani et al. 2017, eq. 1) ----------------------------------------------------------

// Attention is within sequences. D = H/heads in {16, 32, 64, 128}.
//   q, k, v = (qkv + bias)[:, 0 | H | 2H …], head h at column h·D
//   p = softmax(q·kᵀ·scale), out = dropout(p)·v, scale = 1/√D
// Dropout element = (row·heads + head)·max_positions + key's position.
constexpr int max_attention_length = 512;
struct AttentionArgs {
  View qkv;                     // [N, 3H]
  const float* bias = nullptr;  // [3H]
  float* lse = nullptr;         // [heads, capacity] = log Σ exp(q·k·scale), written by forward
  Sequences sequences;          // lengths <= max_attention_length
  int heads = 0;
  Dropout dropout;
};
void attention_forward(Stream, View out, const AttentionArgs&);  // out: [N, H]

// dqkv: [N, 3H]; its sum over rows is dbias. p comes from lse; pd = dropout(p), Δ = Σ_d dout·out:
//   dv = pdᵀ·dout, dp = dropout'(dout·vᵀ), ds = p·(dp − Δ), dq = scale·ds·k, dk = scale·dsᵀ·q
void attention_backward(Stream, View dqkv, View dout, View out, const AttentionArgs&);

// ---- gather.cu --------------------------------------------------------------------------------------------

// y[m] = x[index[m]]; x: [N, H], y: [M, H].
void gather_rows(Stream, View y, View x, const int* index);

// dx[index[m]] = or += dy[m]; "=" also zeroes other rows. index: ascending, unique.
void scatter_rows(Stream, GradView dx, View dy, const int* index);

// ---- cross_entropy.cu -------------------------------------------------------------------------------------

// Distribution (1 − other_weight)·token + other_weight·other, both in [0, classes). group 0: masked token,
// 1: label.
struct Target {
  int token, other;
  float other_weight;
  int group;
};

// z = logits[m] + bias over `classes` columns:
//   loss[m] = log Σ exp z − (1−w)·z[token] − w·z[other],  w = other_weight
//   dlogits[m][c] = scale·(softmax(z)[c] − (1−w)·[c = token] − w·[c = other]), 0 in padding columns
// Returns dlogits: [M, ld] of `dtype`, over the logits; padding rows: loss 0, dlogits 0.
struct CrossEntropyArgs {
  View logits;                  // float [M, ld]
  const float* bias = nullptr;  // [ld]
  int classes = 0;
  const Target* targets = nullptr;  // device, [M]
  const float* scale = nullptr;     // device: 1 / (targets of the whole batch)
};
View cross_entropy(Stream, float* loss, DType dtype, const CrossEntropyArgs&);

// sums[0], sums[1] += Σ loss of group 0, 1; sums[2], sums[3] += counts; sums may be null. *finite = 0 if a
// loss is not; never set to 1.
void sum_losses(Stream, double* sums, int* finite, const float* loss, const Target* targets, Rows rows);

// out[m] = log softmax(logits[m] + bias) at both tokens, over `classes` columns; out: [M, 2].
void log_probabilities(Stream, float* out, View logits, const float* bias, int classes,
                       std::array<int, 2> tokens);

// ---- adam.cu (Kingma & Ba 2015; Keras's form, "ε-hat", end of §2) -----------------------------------------

struct AdamStep {
  float step_size;  // α_t = lr·√(1 − β2ᵗ)/(1 − β1ᵗ)
  float decay;      // lr·weight_decay, decoupled (Loshchilov & Hutter 2019)
  float grad_scale;
  float average = 0;  // 1 − decay of the EMA weights
};
struct AdamArrays {
  float* master;
  bf16* weight;  // may be null
  float *m, *v;
  const float* grad;
  float* average = nullptr;   // EMA weights; may be null
  double* squares = nullptr;  // [adam_blocks(n)], may be null
};
struct AdamConstants {
  float beta1, beta2, epsilon;
};
// For i < n: g = grad[i]·grad_scale; m = β1·m + (1−β1)·g; v = β2·v + (1−β2)·g²
//   master −= decay·master + step_size·m/(√v + ε);  weight = bf16(master)
//   average += step.average·(master − average)
// squares = Σ grad² per block. *do_update = 0 skips everything, squares included; it may be null.
void adam(Stream, const AdamArrays&, size_t n, const AdamConstants&, const AdamStep* step,
          const int* do_update);
constexpr size_t adam_values_a_block = 2048;
inline size_t adam_blocks(size_t n) { return (n + adam_values_a_block - 1) / adam_values_a_block; }

// steps[i].grad_scale = min(1, clip_norm/√*squared_norm) for i < n (Pascanu et al. 2013).
void clip(Stream, AdamStep* steps, int n, const double* squared_norm, float clip_norm);

// *do_update = 0 if *finite (may be null) is 0 or √*squared_norm is an outlier, else 1. An outlier is not
// finite, or above mean + limit·deviation of the last 128 norms, once there are 128. Finite outliers enter
// the ring, so a lasting change of level is accepted in time.
// history: [norm_history], initially 0: ring of norms, their number, number of outliers.
constexpr int norm_window = 128, norm_history = norm_window + 2;
void reject_outlier(Stream, int* do_update, double* history, const double* squared_norm, const int* finite,
                    float limit);

// ---- reduce.cu --------------------------------------------------------------------------------------------

// *out = Σ x[i]², in double. workspace: squared_norm_workspace() doubles.
void squared_norm(Stream, double* out, double* workspace, const float* x, size_t n);
size_t squared_norm_workspace();
// out[k] = Σ x[i]² over block k of 2,048 values, in double; out: [⌈n/2048⌉].
void block_squares(Stream, double* out, const float* x, size_t n);
// *out = Σ x[i].
void sum(Stream, double* out, const double* x, size_t n);

// *count += differing 32-bit words (and tail bytes).
void count_differences(Stream, unsigned* count, const void* a, const void* b, size_t bytes);

// ---- cast.cu ----------------------------------------------------------------------------------------------

// bf16 rounds to nearest even.
void cast(Stream, bf16* y, const float* x, size_t n);
void cast(Stream, float* y, const bf16* x, size_t n);
void swap(Stream, float* a, float* b, size_t n);
void add(Stream, float* sum, const float* x, size_t n);

// ---- perturb.cu: FGM (Miyato et al. 2017, §3, eq. 5) ------------------------------------------------------

// y = x + ε·g/√*squared_norm; y = x if the norm is 0. x, g: float of y's shape.
void perturb(Stream, View y, const float* x, const float* g, const double* squared_norm, float epsilon);

}  // namespace warpbert::kernels
