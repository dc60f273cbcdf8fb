// Table of contents of the kernels: what each launcher computes.
//
// Conventions
//   T          storage type of activations and of weight matrices: float or bf16. All arithmetic, all statistics, all
//              biases, gains and parameter gradients are float.
//   [N, H]     row-major; N token rows of the packed batch, H the hidden size (a multiple of 8).
//   Rows       `capacity` sizes the grid and is what buffers have room for; the real number of rows is read from
//              device memory, so that one captured graph serves many batches. Rows from *count to capacity are filler:
//              outputs are written there as zeros, inputs are never read there, reductions stop at *count.
//   "=" or "+=" written beside each gradient; where `accumulate` is given the caller chooses.
//   Every launcher checks the sizes it depends on and throws std::invalid_argument naming itself and the shapes.
//   Pointers are device pointers, 16-byte aligned; T arrays' leading dimensions are multiples of 8.
//   Nothing here depends on the order of threads: no float atomics, every reduction has one fixed order.
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

// Key of the random numbers of one training forward pass; lives in device memory, so that a captured graph sees it.
struct RandomState {
  uint64_t seed;
  uint32_t pass;
};

// Inverted dropout: element i is kept, and divided by 1 − rate, iff half-word i of (seed, pass, site) >= rate·2¹⁶
// (philox.h). Element = row·columns + column unless a kernel says otherwise.
struct Dropout {
  float rate = 0;  // of it the nearest multiple of 2⁻¹⁶ below 1; 0: off, nothing is drawn and `random` may be null
  uint32_t site = 0;
  const RandomState* random = nullptr;  // device
};

// ---- embedding.cu: the sum of three tables (Devlin et al. 2019, §3, "Input/Output Representations") -----------------

// y[i] = word[ids[i]] + position[positions[i]] + segment[0]                                                 y: [N, H] =
// The segment table has two rows; every token of this model has segment 0.
template <class T>
void embedding_forward(Stream, T* y, const int* ids, const int* positions, const T* word, const T* position,
                       const T* segment, Rows rows, int hidden);

// dword[v] += Σ dy[i] over ids[i] = v, deterministic without atomics: order[0 … n) are the row numbers sorted by
// (ids[row], row); chunks of 32 sorted rows are summed in order, then the chunks in order.             dword: [*, H] +=
// workspace: embedding_workspace(rows.capacity, hidden) floats.
template <class T>
void embedding_backward_word(Stream, float* dword, float* workspace, const T* dy, const int* ids, const int* order,
                             Rows rows, int hidden);
size_t embedding_workspace(int capacity, int hidden);

// dposition[p] = or += Σ_b dy[starts[b] + p] over the sequences longer than p; 0 = for other p.       dposition: [P, H]
template <class T>
void embedding_backward_position(Stream, float* dposition, const T* dy, const int* starts, int sequences,
                                 int max_positions, int hidden, bool accumulate);

// ---- layer_norm_forward.cu, layer_norm_backward.cu (Ba et al. 2016; biased variance, ε inside the root) -------------

// y = dropout(γ·(x − mean)·rstd + β), mean and rstd per row; mean, rstd: [N] =                   x: [N, H], y: [N, H] =
template <class T>
void layer_norm_forward(Stream, T* y, float* mean, float* rstd, const T* x, const float* gamma, const float* beta,
                        float epsilon, Dropout dropout, Rows rows, int hidden);

// g = dropout'(dy);  dx = or += rstd·(γg − mean(γg) − x̂·mean(γg·x̂)), x̂ = (x − mean)·rstd
// partials: [blocks, 2, H] = sums of g·x̂ and of g over the rows of each block, blocks = norm_blocks(rows.capacity);
// finish_column_sums makes dγ and dβ of them.
template <class T>
void layer_norm_backward(Stream, T* dx, bool accumulate, float* partials, const T* dy, const T* x, const float* mean,
                         const float* rstd, const float* gamma, Dropout dropout, Rows rows, int hidden);

// The step around each sublayer of a post-norm encoder (Vaswani et al. 2017, §3.1 and §5.4), one pass:
//   h = residual + dropout(x + bias);  y = γ·(h − mean)·rstd + β                    h: [N, H] = (may be x), y: [N, H] =
// The statistics are those of h as stored in T.
template <class T>
void add_dropout_norm_forward(Stream, T* y, T* h, float* mean, float* rstd, const T* x, const float* bias,
                              const T* residual, const float* gamma, const float* beta, float epsilon, Dropout dropout,
                              Rows rows, int hidden);

// dh as in layer_norm_backward;  dresidual = or += dh;  dx = dropout'(dh);  dx may be dy.
// partials: [blocks, 3, H] = sums of dy·ĥ (dγ), of dy (dβ) and of dx before it is rounded to T (dbias).
template <class T>
void add_dropout_norm_backward(Stream, T* dx, T* dresidual, bool accumulate_residual, float* partials, const T* dy,
                               const T* h, const float* mean, const float* rstd, const float* gamma, Dropout dropout,
                               Rows rows, int hidden);
int norm_blocks(int capacity);

// ---- gelu.cu: GELU with erf (Hendrycks & Gimpel 2016, eq. 1): gelu(x) = x·Φ(x) --------------------------------------

// y = gelu(x + bias)                                                                                        y: [N, C] =
template <class T>
void bias_gelu_forward(Stream, T* y, const T* x, const float* bias, Rows rows, int columns);

// dx = dy·gelu'(x + bias), gelu'(u) = Φ(u) + u·φ(u); dx may be dy.
// partials: [blocks, C] = sums of dx (before rounding to T) over the rows of each block,
// blocks = column_blocks(capacity).
template <class T>
void bias_gelu_backward(Stream, T* dx, float* partials, const T* dy, const T* x, const float* bias, Rows rows,
                        int columns);

// ---- column_sum.cu: two-stage deterministic sums over rows ----------------------------------------------------------

// partials: [blocks, C] = sums over the rows of each block, blocks = column_blocks(capacity).
// ld: the leading dimension of x.
template <class T>
void column_sums(Stream, float* partials, const T* x, int ld, Rows rows, int columns);
int column_blocks(int capacity);

// out[c] = or += Σ_b partials[b·stride + c], in an order that more blocks of zeros do not change.
// Several sums a launch.
struct ColumnSum {
  float* out;
  const float* partials;
  int blocks, stride, columns;
  bool accumulate;
};
constexpr int max_column_sums = 8;
void finish_column_sums(Stream, const ColumnSum* sums, int n);  // host array of n <= max_column_sums, passed by value

// ---- attention_forward.cu, attention_backward.cu: masked softmax attention (Vaswani et al. 2017, eq. 1) -------------

// Sequence b has the rows starts[b] … starts[b + 1]; the mask of the softmax is "same sequence". A launch has room for
// `sequences`; unused ones are empty (starts repeats its end). q, k, v = (qkv + bias)[:, 0 | H | 2H …], head h at h·D.
//   p = softmax(q·kᵀ·scale), out = dropout(p)·v, scale = 1/√D                               qkv: [N, 3H], out: [N, H] =
// lse: [heads, capacity] = log Σ exp(q·k·scale), for backward. D = head_size in {16, 32, 64, 128}; H = heads·D.
// Dropout element = (row·heads + head)·max_positions + key, key = position in its sequence.
// max_length >= every sequence's length (a bound of the host's): up to 64 a sequence stays in registers and shared
// memory; longer ones (to 512) run over tiles of keys with an online softmax (Milakov & Gimelshein 2018).
constexpr int max_attention_length = 512;
template <class T>
void attention_forward(Stream, T* out, float* lse, const T* qkv, const float* bias, const int* starts, int sequences,
                       int max_length, int heads, int head_size, int max_positions, Dropout dropout, Rows rows);

// dqkv: [N, 3H] =, the gradient of qkv (and, summed over rows, of bias). p is computed again from lse:
//   dv = pdᵀ·dout, dp = dropout'(dout·vᵀ), ds = p·(dp − Δ), Δ = Σ_d dout·out, dq = scale·ds·k, dk = scale·dsᵀ·q
template <class T>
void attention_backward(Stream, T* dqkv, const T* dout, const T* out, const float* lse, const T* qkv, const float* bias,
                        const int* starts, int sequences, int max_length, int heads, int head_size, int max_positions,
                        Dropout dropout, Rows rows);

// ---- gather.cu: the rows that meet the MLM head ---------------------------------------------------------------------

// y[m] = x[index[m]]                                                                             x: [N, H], y: [M, H] =
template <class T>
void gather_rows(Stream, T* y, const T* x, const int* index, Rows targets, int hidden);

// dx[index[m]] = or += dy[m]; without accumulate all other rows of dx are written as zeros.
// index: ascending, no row twice.
template <class T>
void scatter_rows(Stream, T* dx, bool accumulate, const T* dy, const int* index, Rows targets, Rows rows, int hidden);

// ---- cross_entropy.cu: fused log-softmax, loss and gradient, in place -----------------------------------------------

// What row m is to predict: (1 − other_weight)·token + other_weight·other; group 0 = masked token, 1 = label.
struct Target {
  int token, other;
  float other_weight;
  int group;
};

// z = logits[m] + bias over the V real columns (the columns V … ld are padding and take no part); bias: [ld]
//   loss[m] = log Σ exp z − (1 − w)·z[token] − w·z[other]                                                   loss: [M] =
//   dlogits[m][c] = scale·(softmax(z)[c] − (1 − w)·[c = token] − w·[c = other]), 0 in padded columns
// dlogits is written over the logits: its row m starts where row m of logits does, as T, so its leading dimension is
// ld·sizeof(float)/sizeof(T). scale: device scalar, 1 / (targets of the whole batch). Filler rows: loss 0, dlogits 0.
template <class T>
void cross_entropy(Stream, float* loss, float* logits, const float* bias, const Target* targets, const float* scale,
                   Rows rows, int vocabulary, int ld);

// sums[0], sums[1] += Σ loss[m], counts as sums[2], sums[3] += of group 0 and 1, in one block and fixed order; sums may
// be null.
// *ok = 0 when a loss is not finite (never set back to 1).
void sum_losses(Stream, double* sums, int* ok, const float* loss, const Target* targets, Rows rows);

// out[m] = {log p[token_a], log p[token_b]}, p = softmax(logits[m] + bias) over V columns.                out: [M, 2] =
void log_probabilities(Stream, float* out, const float* logits, const float* bias, int token_a, int token_b, Rows rows,
                       int vocabulary, int ld);

// ---- adam.cu: Adam (Kingma & Ba 2015), Keras's form ("ε-hat", their §2 end), fused over flat buffers ----------------

// What changes from step to step; lives in device memory. Made in double on the host.
struct AdamStep {
  float rate;         // lr·√(1 − β2ᵗ)/(1 − β1ᵗ)
  float decay;        // lr·weight_decay, decoupled (Loshchilov & Hutter 2019): p −= decay·p; 0: off
  float grad_scale;   // gradients are multiplied by this first (clipping); 1: off
  float average = 0;  // 1 − the decay of the masters' running mean
};
struct AdamArrays {
  float* master;
  bf16* weight;  // may be null
  float *m, *v;
  const float* grad;
  float* average = nullptr;   // may be null
  double* squares = nullptr;  // [adam_blocks(n)], may be null
};
// For i < n:  g = grad[i]·grad_scale;  m = β1·m + (1 − β1)·g;  v = β2·v + (1 − β2)·g²
//             master −= decay·master + rate·m/(√v + ε);  weight = master rounded to bf16
//             average += step.average·(master − average)
// squares: sums of grad² over the values of each block (sum() adds them up): a thread's eight in float, the rest in double.
// All is skipped when *ok = 0 (ok may be null). 28 bytes a parameter, 2 more with weight, 8 more with average.
void adam(Stream, const AdamArrays&, size_t n, float beta1, float beta2, float epsilon, const AdamStep* step,
          const int* ok);
constexpr size_t adam_values_a_block = 2048;
inline size_t adam_blocks(size_t n) { return (n + adam_values_a_block - 1) / adam_values_a_block; }

// steps[i].grad_scale = min(1, clip_norm/√*square_sum) for i < n: gradients of a larger norm are scaled down to it
// (Pascanu et al. 2013).
void clip(Stream, AdamStep* steps, int n, const double* square_sum, float clip_norm);

// *apply = 0 when *ok = 0 or the norm √*square_sum is an outlier: above mean + limit·deviation of the 128 norms before
// it, once there are as many; else 1.
// history: [norm_history], zeros at first: a ring of norms, how many there were, how many were outliers.
// Every finite norm enters the ring, so that a lasting change of level is skipped for a while only.
constexpr int norm_window = 128, norm_history = norm_window + 2;
void reject_outlier(Stream, int* apply, double* history, const double* square_sum, const int* ok, float limit);

// ---- reduce.cu ------------------------------------------------------------------------------------------------------

// *out = Σ x[i]², two stages in fixed order, double accumulation. workspace: square_sum_workspace() doubles.
void square_sum(Stream, double* out, double* workspace, const float* x, size_t n);
size_t square_sum_workspace();
// *out = Σ x[i] in fixed order, in one block.
void sum(Stream, double* out, const double* x, size_t n);

// *count += 32-bit words (and bytes of a tail) in which a and b differ. a, b: 16-byte aligned.
void count_differences(Stream, unsigned* count, const void* a, const void* b, size_t bytes);

// ---- cast.cu --------------------------------------------------------------------------------------------------------

// y[i] = x[i], rounded to nearest even on the way to bf16.
void cast(Stream, bf16* y, const float* x, size_t n);
void cast(Stream, float* y, const bf16* x, size_t n);
// a and b trade their values. 16 bytes a value.
void exchange(Stream, float* a, float* b, size_t n);

// ---- perturb.cu: adversarial training by the fast gradient method (Miyato et al. 2017, §3, eq. 5) -------------------

// y[i] = x[i] + ε·g[i]/√*square_sum, square_sum = Σ g²; y = x when that is 0.                                  y: [n] =
template <class T>
void perturb(Stream, T* y, const float* x, const float* g, const double* square_sum, float epsilon, size_t n);

// ---- random.cu ------------------------------------------------------------------------------------------------------

// words[i] = word i of (seed, pass, site): the generator by itself, to be compared with cuRAND.
void random_words(Stream, uint32_t* words, size_t n, uint32_t site, const RandomState* random);

}  // namespace warpbert::kernels
