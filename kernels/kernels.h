// Kernel launchers: formulas, shapes, preconditions; docs/kernels/ has the rest.
//
// T, the storage type of activations and weight matrices, is float or bf16; arithmetic, statistics, biases,
// gains and parameter gradients are float. [N, H] is row-major: N token rows of the packed batch, H the
// hidden size, a multiple of 8. Outputs are overwritten unless marked "+="; for "= or +=" `accumulate`
// chooses.
//
// Rows: `capacity` sizes grids and buffers. `*count` is read on the device: one captured graph serves many
// batches. Rows *count … capacity are padding: outputs get zeros, inputs are not read, sums exclude them.
//
// Pointers are device pointers, 16-byte aligned; leading dimensions of T arrays are multiples of 8.
// Launchers check sizes and throw std::invalid_argument with their name and shapes. Reductions have a fixed
// order, without float atomics.
#pragma once
#include <cstddef>
#include <cstdint>

#include "simt/bf16.h"

struct CUstream_st;

namespace warpbert::kernels {

using Stream = CUstream_st*;  // cudaStream_t

struct Rows {
  int capacity;
  const int* count;  // device
};

// Random key of one training forward pass; in device memory, for captured graphs.
struct RandomState {
  uint64_t seed;
  uint32_t pass;
};

// Inverted dropout: keeps element i, divided by 1−rate, iff half-word i of (seed, pass, site) >= rate·2¹⁶
// (philox.h). Element = row·columns + column unless stated otherwise.
struct Dropout {
  float rate = 0;  // rounded to a multiple of 2⁻¹⁶ below 1; 0: off, `random` may be null
  uint32_t site = 0;
  const RandomState* random = nullptr;  // device
};

// ---- embedding.cu: sum of three tables (Devlin et al. 2019, §3) -------------------------------------------

// y[i] = word[ids[i]] + position[positions[i]] + segment[0]; y: [N, H]. Segment 1 is unused.
template <class T>
void embedding_forward(Stream, T* y, const int* ids, const int* positions, const T* word, const T* position,
                       const T* segment, Rows rows, int hidden);

// dword[v] += Σ dy[i] over ids[i] = v; dword: [*, H]. order[0 … n): rows sorted by (ids[row], row).
// workspace: embedding_workspace() floats.
template <class T>
void embedding_backward_word(Stream, float* dword, float* workspace, const T* dy, const int* ids,
                             const int* order, Rows rows, int hidden);
size_t embedding_workspace(int capacity, int hidden);

// dposition[p] = or += Σ_b dy[starts[b] + p] over sequences longer than p; dposition: [max_positions, H].
template <class T>
void embedding_backward_position(Stream, float* dposition, const T* dy, const int* starts, int sequences,
                                 int max_positions, int hidden, bool accumulate);

// ---- layer_norm_*.cu: LayerNorm (Ba et al. 2016), rstd = 1/√(Σ(x − mean)²/H + ε); H <= 1024 ---------------

// y = dropout(γ·(x − mean)·rstd + β); x, y: [N, H]; mean, rstd: [N].
template <class T>
void layer_norm_forward(Stream, T* y, float* mean, float* rstd, const T* x, const float* gamma,
                        const float* beta, float epsilon, Dropout dropout, Rows rows, int hidden);

// g = dropout'(dy); dx = or += rstd·(γg − mean(γg) − x̂·mean(γg·x̂)), x̂ = (x − mean)·rstd
// partials: [norm_blocks(), 2, H], sums of g·x̂ (dγ) and g (dβ), for finish_column_sums.
template <class T>
void layer_norm_backward(Stream, T* dx, bool accumulate, float* partials, const T* dy, const T* x,
                         const float* mean, const float* rstd, const float* gamma, Dropout dropout, Rows rows,
                         int hidden);

// Fused step around a post-norm sublayer (Vaswani et al. 2017, §3.1, §5.4); x, h, y: [N, H], h may be x:
//   h = residual + dropout(x + bias);  y = γ·(h − mean)·rstd + β, with the statistics of h as rounded to T
template <class T>
void add_dropout_norm_forward(Stream, T* y, T* h, float* mean, float* rstd, const T* x, const float* bias,
                              const T* residual, const float* gamma, const float* beta, float epsilon,
                              Dropout dropout, Rows rows, int hidden);

// dh as in layer_norm_backward; dresidual = or += dh; dx = dropout'(dh); dx may be dy.
// partials: [norm_blocks(), 3, H], sums of dy·ĥ (dγ), dy (dβ) and unrounded dx (dbias).
template <class T>
void add_dropout_norm_backward(Stream, T* dx, T* dresidual, bool accumulate_residual, float* partials,
                               const T* dy, const T* h, const float* mean, const float* rstd,
                               const float* gamma, Dropout dropout, Rows rows, int hidden);
int norm_blocks(int capacity);

// ---- gelu.cu: GELU with erf (Hendrycks & Gimpel 2016, eq. 1) ----------------------------------------------

// y = gelu(x + bias), gelu(u) = u·Φ(u); x, y: [N, C].
template <class T>
void bias_gelu_forward(Stream, T* y, const T* x, const float* bias, Rows rows, int columns);

// dx = dy·gelu'(x + bias), gelu'(u) = Φ(u) + u·φ(u); dx may be dy.
// partials: [column_blocks(), C], sums of unrounded dx.
template <class T>
void bias_gelu_backward(Stream, T* dx, float* partials, const T* dy, const T* x, const float* bias, Rows rows,
                        int columns);

// ---- column_sum.cu: two-stage sums over rows --------------------------------------------------------------

// partials: [column_blocks(), C], each block's sums over rows of x; ld: leading dimension.
template <class T>
void column_sums(Stream, float* partials, const T* x, int ld, Rows rows, int columns);
int column_blocks(int capacity);

// out[c] = or += Σ_b partials[b·stride + c], for n sums. Extra blocks of zeros change no bit.
struct ColumnSum {
  float* out;
  const float* partials;
  int blocks, stride, columns;
  bool accumulate;
};
constexpr int max_column_sums = 8;
void finish_column_sums(Stream, const ColumnSum* sums, int n);  // host array, n <= max_column_sums

// ---- attention_*.cu: masked softmax attention (Vaswani et al. 2017, eq. 1) --------------------------------

// Sequence b has rows starts[b] … starts[b+1] and attends only to itself. `sequences` (<= 65534) is an upper
// bound: unused ones are empty, starts repeats its end. D = head_size in {16, 32, 64, 128}; H = heads·D.
//   q, k, v = (qkv + bias)[:, 0 | H | 2H …], head h at column h·D;  qkv: [N, 3H], out: [N, H]
//   p = softmax(q·kᵀ·scale), out = dropout(p)·v, scale = 1/√D;  lse: [heads, capacity] = log Σ exp(q·k·scale)
// Dropout element = (row·heads + head)·max_positions + key, key = position in its sequence.
// max_length: upper bound of sequence lengths, <= max_positions.
constexpr int max_attention_length = 512;
template <class T>
void attention_forward(Stream, T* out, float* lse, const T* qkv, const float* bias, const int* starts,
                       int sequences, int max_length, int heads, int head_size, int max_positions,
                       Dropout dropout, Rows rows);

// dqkv: [N, 3H]; its sum over rows is dbias. p is recomputed from lse; pd = dropout(p), Δ = Σ_d dout·out:
//   dv = pdᵀ·dout, dp = dropout'(dout·vᵀ), ds = p·(dp − Δ), dq = scale·ds·k, dk = scale·dsᵀ·q
template <class T>
void attention_backward(Stream, T* dqkv, const T* dout, const T* out, const float* lse, const T* qkv,
                        const float* bias, const int* starts, int sequences, int max_length, int heads,
                        int head_size, int max_positions, Dropout dropout, Rows rows);

// ---- gather.cu: rows with an MLM target -------------------------------------------------------------------

// y[m] = x[index[m]]; x: [N, H], y: [M, H].
template <class T>
void gather_rows(Stream, T* y, const T* x, const int* index, Rows targets, int hidden);

// dx[index[m]] = or += dy[m]; "=" also zeroes the other rows. index: ascending, unique.
template <class T>
void scatter_rows(Stream, T* dx, bool accumulate, const T* dy, const int* index, Rows targets, Rows rows,
                  int hidden);

// ---- cross_entropy.cu: fused log-softmax, loss and gradient, in place -------------------------------------

// Target distribution: (1 − other_weight)·token + other_weight·other. group 0: masked token, 1: label.
struct Target {
  int token, other;
  float other_weight;
  int group;
};

// z = logits[m] + bias over V real columns of ld; bias: [ld], loss: [M], w = other_weight:
//   loss[m] = log Σ exp z − (1−w)·z[token] − w·z[other]
//   dlogits[m][c] = scale·(softmax(z)[c] − (1−w)·[c = token] − w·[c = other]), 0 in padding columns
// dlogits (T) overwrites logits (float) row by row: its leading dimension is ld·sizeof(float)/sizeof(T).
// scale: device scalar, 1 / (targets of the whole batch). Padding rows: loss 0, dlogits 0.
template <class T>
void cross_entropy(Stream, float* loss, float* logits, const float* bias, const Target* targets,
                   const float* scale, Rows rows, int vocabulary, int ld);

// sums[0], sums[1] += Σ loss of group 0, 1; sums[2], sums[3] += their counts; sums may be null.
// *ok = 0 if a loss is not finite; never set to 1.
void sum_losses(Stream, double* sums, int* ok, const float* loss, const Target* targets, Rows rows);

// out[m] = log p of {token_a, token_b}, p = softmax(logits[m] + bias) over V columns; out: [M, 2].
void log_probabilities(Stream, float* out, const float* logits, const float* bias, int token_a, int token_b,
                       Rows rows, int vocabulary, int ld);

// ---- adam.cu: fused Adam (Kingma & Ba 2015; Keras's form, "ε-hat", end of §2) -----------------------------

// Per-step scalars in device memory; computed in double on the host.
struct AdamStep {
  float rate;         // lr·√(1 − β2ᵗ)/(1 − β1ᵗ)
  float decay;        // lr·weight_decay, decoupled (Loshchilov & Hutter 2019); 0: off
  float grad_scale;   // clipping factor of gradients; 1: off
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
// For i < n: g = grad[i]·grad_scale; m = β1·m + (1−β1)·g; v = β2·v + (1−β2)·g²
//   master −= decay·master + rate·m/(√v + ε);  weight = bf16(master)
//   average += step.average·(master − average)
// squares = Σ grad² per block, for sum(). *ok = 0 skips everything, squares included; ok may be null.
void adam(Stream, const AdamArrays&, size_t n, float beta1, float beta2, float epsilon, const AdamStep* step,
          const int* ok);
constexpr size_t adam_values_a_block = 2048;
inline size_t adam_blocks(size_t n) { return (n + adam_values_a_block - 1) / adam_values_a_block; }

// steps[i].grad_scale = min(1, clip_norm/√*square_sum) for i < n (Pascanu et al. 2013).
void clip(Stream, AdamStep* steps, int n, const double* square_sum, float clip_norm);

// *apply = 0 if *ok = 0 or the norm √*square_sum is an outlier, else 1; ok may be null. Outlier: not finite,
// or above mean + limit·deviation of the last 128 norms once there are 128. Every finite norm enters the
// ring, so a lasting change of level is rejected only for a while.
// history: [norm_history], initially 0: ring of norms, their number, number of outliers.
constexpr int norm_window = 128, norm_history = norm_window + 2;
void reject_outlier(Stream, int* apply, double* history, const double* square_sum, const int* ok,
                    float limit);

// ---- reduce.cu --------------------------------------------------------------------------------------------

// *out = Σ x[i]², in double. workspace: square_sum_workspace() doubles.
void square_sum(Stream, double* out, double* workspace, const float* x, size_t n);
size_t square_sum_workspace();
// *out = Σ x[i].
void sum(Stream, double* out, const double* x, size_t n);

// *count += differing 32-bit words (and tail bytes) of a and b.
void count_differences(Stream, unsigned* count, const void* a, const void* b, size_t bytes);

// ---- cast.cu ----------------------------------------------------------------------------------------------

// y[i] = x[i]; bf16 rounds to nearest even.
void cast(Stream, bf16* y, const float* x, size_t n);
void cast(Stream, float* y, const bf16* x, size_t n);
// Swaps a and b.
void exchange(Stream, float* a, float* b, size_t n);

// ---- perturb.cu: FGM perturbation (Miyato et al. 2017, §3, eq. 5) -----------------------------------------

// y[i] = x[i] + ε·g[i]/√*square_sum, *square_sum = Σ g²; y = x if that is 0.
template <class T>
void perturb(Stream, T* y, const float* x, const float* g, const double* square_sum, float epsilon, size_t n);

// ---- random.cu --------------------------------------------------------------------------------------------

// words[i] = word i of (seed, pass, site): the raw generator, for tests.
void random_words(Stream, uint32_t* words, size_t n, uint32_t site, const RandomState* random);

}  // namespace warpbert::kernels
