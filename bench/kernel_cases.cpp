#include "kernel_cases.h"

#include <fmt/format.h>

#include <algorithm>
#include <random>
#include <set>

#include "train/config/options.h"
#include "train/data/batch.h"

namespace warpbert::bench {

constexpr int max_positions = 512;

void check(const StepSizes& s) {
  if (s.pairs > s.tokens)
    throw UsageError(fmt::format("--pairs={}: more pairs than tokens ({})", s.pairs, s.tokens));
  if (s.targets > s.tokens)
    throw UsageError(fmt::format("--targets={}: more targets than tokens ({})", s.targets, s.tokens));
  if (s.tokens > int64_t(s.pairs) * max_positions)
    throw UsageError(fmt::format("--tokens={}, --pairs={}: a pair has at most {} tokens", s.tokens, s.pairs,
                                 max_positions));
  if (s.hidden % 8 || s.hidden > 1024)
    throw UsageError(fmt::format("--hidden={}: a multiple of 8 up to 1024 is needed", s.hidden));
  if (s.vocabulary < 8) throw UsageError(fmt::format("--vocabulary={}: at least 8 are needed", s.vocabulary));
}

namespace {

// A batch's rows as kernels see them: sequences of nearly equal length, random words.
struct HostRows {
  std::vector<int> starts, ids, positions, order, index;
  int longest = 0, words = 0, run_parts = 0;  // words: distinct

  HostRows(const StepSizes& s, int capacity, int target_capacity)
      : starts(size_t(s.pairs) + 1),
        ids(size_t(capacity)),
        positions(ids),
        order(ids),
        index(size_t(target_capacity)) {
    const auto at = [](auto& v, int i) -> auto& { return v[size_t(i)]; };
    for (int i = 0; i <= s.pairs; i++) at(starts, i) = int(int64_t(s.tokens) * i / s.pairs);
    for (int i = 0; i < s.pairs; i++) {
      longest = std::max(longest, at(starts, i + 1) - at(starts, i));
      for (int r = at(starts, i); r < at(starts, i + 1); r++)
        at(positions, r) = r - at(starts, i),
                      at(ids, r) = int(unsigned(r) * 2654435761u % unsigned(s.vocabulary));
    }
    for (int i = 0; i < s.tokens; i++) at(order, i) = i;
    std::stable_sort(order.begin(), order.begin() + s.tokens,
                     [&](int x, int y) { return at(ids, x) < at(ids, y); });
    for (int i = 0; i < s.targets; i++) at(index, i) = int(int64_t(s.tokens) * i / s.targets);
    words = int(std::set<int>(ids.begin(), ids.begin() + s.tokens).size());
    // Partial sums of embedding_backward_word in its workspace, per chunk of 32 sorted rows: a word's run
    // that began before the chunk, and one that begins in it and continues after it.
    const auto word = [&](int i) { return i < 0 || i >= s.tokens ? -1 : at(ids, at(order, i)); };
    for (int c = 0; c < s.tokens; c += 32) {
      const int first = word(c), last = word(c + 31), before = word(c - 1), after = word(c + 32);
      run_parts += first == before;
      run_parts += last >= 0 && last == after && !(first == before && first == last);
    }
  }
};

}  // namespace

// n values of T: random in [-1, 1], or zeros.
template <class T>
T* KernelCases::array(size_t n, bool random) {
  arrays_.emplace_back(device_, n * sizeof(T));
  T* p = reinterpret_cast<T*>(arrays_.back().data());
  if constexpr (std::is_same_v<T, float> || std::is_same_v<T, bf16>) {
    std::mt19937 generator(unsigned(arrays_.size()));
    std::vector<T> values(n);
    for (T& v : values) v = from_float<T>(random ? float(generator() % 2001) / 1000 - 1 : 0.0f);
    device_.upload(p, values.data(), n * sizeof(T));
  } else {
    device_.zero(p, n * sizeof(T));
  }
  return p;
}

template <class T>
T* KernelCases::array(const std::vector<T>& values) {
  arrays_.emplace_back(device_, values.size() * sizeof(T));
  device_.upload(arrays_.back().data(), values.data(), values.size() * sizeof(T));
  return reinterpret_cast<T*>(arrays_.back().data());
}

KernelCases::KernelCases(Device& device, const StepSizes& sizes) : device_(device) {
  check(sizes);
  sizes.fp32 ? build<float>(sizes) : build<bf16>(sizes);
}

template <class T>
void KernelCases::build(const StepSizes& sizes) {
  const int N = sizes.tokens, B = sizes.pairs, M = sizes.targets, H = sizes.hidden, heads = sizes.heads,
            V = sizes.vocabulary, I = 4 * H, P = max_positions;
  const int capacity = token_capacity(N), target_rows = target_capacity(M), ld = (V + 63) / 64 * 64;
  const HostRows host(sizes, capacity, target_rows);
  const int longest = host.longest;
  const auto s = device_.stream();
  const kernels::Rows rows{capacity, array(std::vector<int>{N})},
      targets{target_rows, array(std::vector<int>{M})};
  const kernels::Dropout drop{0.1f, 1, array(std::vector<kernels::RandomState>{{1, 1}})};
  const int *starts = array(host.starts), *ids = array(host.ids), *positions = array(host.positions),
            *order = array(host.order), *index = array(host.index);
  const auto* target = array(std::vector<kernels::Target>(size_t(target_rows), {7, 0, 0, 0}));

  // Bytes. t: one T, nh: [N, H] of T, ch: [capacity, H] of T, h: H floats; a count or scalar is 4.
  const double t = sizeof(T), n = N, nh = n * H * t, ch = double(capacity) * H * t, h = H * 4.0, c = capacity,
               m = M, mc = target_rows, random = 16;
  const size_t cH = size_t(capacity) * size_t(H);
  T *x = array<T>(cH), *y = array<T>(cH), *z = array<T>(cH), *residual = array<T>(cH);
  T *wide = array<T>(cH * 4), *wide2 = array<T>(cH * 4), *wide3 = array<T>(cH * 4), *qkv = array<T>(cH * 3),
    *dqkv = array<T>(cH * 3), *chosen = array<T>(size_t(target_rows) * size_t(H));
  float *bias = array<float>(size_t(I)), *gamma = array<float>(size_t(H)), *beta = array<float>(size_t(H)),
        *mean = array<float>(size_t(capacity)), *rstd = array<float>(size_t(capacity)),
        *lse = array<float>(size_t(heads) * size_t(capacity)),
        *scale = array(std::vector<float>{1.0f / float(M)});
  T *word = array<T>(size_t(ld) * size_t(H)), *position = array<T>(size_t(P) * size_t(H)),
    *segment = array<T>(size_t(2 * H));
  float *dword = array<float>(size_t(ld) * size_t(H)), *dposition = array<float>(size_t(P) * size_t(H)),
        *word_bias = array<float>(size_t(ld));
  const double norm_blocks = kernels::norm_blocks(capacity),
               partial_blocks = kernels::partial_blocks(capacity);
  float* partials = array<float>(size_t(3 * I) * size_t(std::max(norm_blocks, partial_blocks)));
  float* workspace = array<float>(kernels::embedding_workspace(capacity, H) + 8);
  float *logits = array<float>(size_t(target_rows) * size_t(ld)), *loss = array<float>(size_t(target_rows));

  const DType dtype = kernels::dtype_of<T>;
  const auto of = [=](T* data, int cols = 0) { return kernels::view(data, rows, cols ? cols : H); };
  const View all_logits = kernels::view(logits, targets, ld);
  const kernels::Sequences sequences{starts, B, longest, P};
  const kernels::EmbeddingTables tables{kernels::view(word, {ld}, H), kernels::view(position, {P}, H),
                                        kernels::view(segment, {2}, H)};
  const kernels::NormArgs norm{of(x), mean, rstd, gamma, beta, 1e-12f, {}},
      sum_norm{of(z), mean, rstd, gamma, beta, 1e-12f, drop},
      dropped_norm{of(x), mean, rstd, gamma, beta, 1e-12f, drop};
  const kernels::AttentionArgs attention{of(qkv, 3 * H), bias, lse, sequences, heads, {}};

  const double elements = n * H;
  add("embedding_forward", 8 * n + (host.words + longest + 1) * H * t + 4 + ch, elements * 2,
      [=] { kernels::embedding_forward(s, of(y), tables, ids, positions); });
  add("embedding_backward_word", 8 * n + nh + (2 * host.words + host.run_parts) * h + 4, elements, [=] {
    kernels::embedding_backward_word(s, kernels::view(dword, {ld}, H), workspace, of(y), ids, order);
  });
  add("embedding_backward_position", nh + 4 * (B + 1) + P * h, elements,
      [=] { kernels::embedding_backward_position(s, {kernels::view(dposition, {P}, H)}, of(y), sequences); });
  add("layer_norm_forward", nh + 2 * h + 4 + ch + 8 * c, elements * 8,
      [=] { kernels::layer_norm_forward(s, of(y), norm); });
  add("layer_norm_backward", 2 * nh + 8 * n + h + 4 + ch + norm_blocks * 2 * h, elements * 14,
      [=] { kernels::layer_norm_backward(s, {of(z)}, partials, of(y), norm); });
  add("add_dropout_norm_forward", 2 * nh + 3 * h + 4 + random + 2 * ch + 8 * c, elements * 12,
      [=] { kernels::add_dropout_norm_forward(s, of(y), of(x), bias, of(residual), sum_norm); });
  add("add_dropout_norm_backward", 2 * nh + 8 * n + h + 4 + random + 2 * ch + norm_blocks * 3 * h,
      elements * 18,
      [=] { kernels::add_dropout_norm_backward(s, of(z), {of(residual)}, partials, of(y), dropped_norm); });
  add("bias_gelu_forward", 4 * (nh + h + ch) + 4, n * I * 12,
      [=] { kernels::bias_gelu_forward(s, of(wide2, I), of(wide, I), bias); });
  add("bias_gelu_backward", 4 * (2 * nh + h + ch + partial_blocks * h) + 4, n * I * 18,
      [=] { kernels::bias_gelu_backward(s, of(wide2, I), partials, of(wide3, I), of(wide, I), bias); });
  add("partial_sums", 3 * (nh + partial_blocks * h) + 4, elements * 3,
      [=] { kernels::partial_sums(s, partials, of(dqkv, 3 * H)); });
  add("reduce_partials", 3 * (partial_blocks + 1) * h, partial_blocks * 3 * H, [=] {
    const kernels::Reduction sum{bias, Grad::overwrite, partials, int(partial_blocks), 3 * H, 3 * H};
    kernels::reduce_partials(s, &sum, 1);
  });
  double scores = 0;  // FLOPs of one product of queries and keys, all heads
  for (int i = 0; i < B; i++) {
    const double length = host.starts[size_t(i) + 1] - host.starts[size_t(i)];
    scores += 2 * length * length * H;
  }
  add("attention_forward", 3 * (nh + h) + 4 * (B + 1) + 4 + ch + heads * c * 4, scores * 2,
      [=] { kernels::attention_forward(s, of(x), attention); });
  add("attention_backward", 5 * nh + 3 * h + 4 * (B + 1) + 4 + heads * n * 4 + 3 * ch, scores * 5,
      [=] { kernels::attention_backward(s, of(dqkv, 3 * H), of(y), of(x), attention); });
  add("gather_rows", m * (H * t + 4) + 4 + mc * H * t, 0,
      [=] { kernels::gather_rows(s, kernels::view(chosen, targets, H), of(x), index); });
  add("scatter_rows", m * (H * t + 4) + 8 + ch, 0,
      [=] { kernels::scatter_rows(s, {of(z)}, kernels::view(chosen, targets, H), index); });
  const double row = (V + 7) / 8 * 8 * 4.0;  // logits are read eight at a time
  add("cross_entropy", m * (row + 12) + V * 4.0 + 8 + mc * (ld * t + 4), m * V * 8, [=] {
    kernels::cross_entropy(s, loss, dtype, {all_logits, word_bias, V, target, scale});
  });
  double* losses = array<double>(4);
  int* finite = array(std::vector<int>{1});
  add("sum_losses", m * 8 + 4 + 64, m * 4,
      [=] { kernels::sum_losses(s, losses, finite, loss, target, targets); });
  float* two = array<float>(size_t(target_rows) * 2);
  add("log_probabilities", m * row + V * 4.0 + 4 + mc * 8, m * V * 4, [=] {
    kernels::log_probabilities(s, two, all_logits, word_bias, V, {2, 3});
  });

  const size_t parameters = size_t(12) * size_t(H) * size_t(H), table = size_t(ld) * size_t(H);  // one layer
  const double p = double(parameters), blocks = double(kernels::adam_blocks(parameters)), step_bytes = 16;
  float *master = array<float>(std::max(parameters, table)), *average = array<float>(parameters),
        *first = array<float>(parameters, false), *second = array<float>(parameters, false),
        *grad = array<float>(parameters);
  bf16* rounded = array<bf16>(parameters);
  const auto* step = array(std::vector<kernels::AdamStep>{{1e-5f, 0, 1, 0.01f}});
  double *squares = array<double>(size_t(blocks)), *sum = array<double>(1),
         *sums = array<double>(kernels::squared_norm_workspace());
  const double update = p * (28 + (sizeof(T) == 2 ? 2 : 0)) + blocks * 8 + step_bytes;
  const kernels::AdamArrays arrays{master, sizeof(T) == 2 ? rounded : nullptr, first, second, grad, nullptr,
                                   squares};
  kernels::AdamArrays averaged = arrays;
  averaged.average = average;
  add("adam, a layer", update, p * 12, [=] {
    kernels::adam(s, arrays, parameters, {0.9f, 0.999f, 1e-7f}, step, nullptr);
  });
  add("adam with average, a layer", update + p * 8, p * 15, [=] {
    kernels::adam(s, averaged, parameters, {0.9f, 0.999f, 1e-7f}, step, nullptr);
  });
  add("swap, a layer", p * 16, 0, [=] { kernels::swap(s, master, average, parameters); });
  add("add, a layer", p * 12, p, [=] { kernels::add(s, master, grad, parameters); });
  add("perturb, word table", double(table) * (8 + t) + 8, double(table) * 2,
      [=] { kernels::perturb(s, kernels::view(word, {ld}, H), master, dword, sum, 0.5f); });
  const double sum_blocks = double(std::min(parameters / 2048 + 1, kernels::squared_norm_workspace()));
  add("squared_norm, a layer", p * 4 + sum_blocks * 8 + 8, p * 2,
      [=] { kernels::squared_norm(s, sum, sums, grad, parameters); });
  double* block_squares = array<double>(kernels::adam_blocks(parameters));
  add("block_squares, a layer", p * 4 + blocks * 8, p * 2,
      [=] { kernels::block_squares(s, block_squares, grad, parameters); });
  const size_t all_blocks = kernels::adam_blocks(12 * parameters + table);  // 12 layers and the word table
  const double* block_sums = array<double>(all_blocks);
  add("sum, a model's norm", double(all_blocks) * 8 + 8, double(all_blocks),
      [=] { kernels::sum(s, sum, block_sums, all_blocks); });
  add("cast to bf16, a layer", p * 6, 0, [=] { kernels::cast(s, rounded, master, parameters); });
  add("cast to fp32, a layer", p * 6, 0, [=] { kernels::cast(s, average, rounded, parameters); });
  const int groups = 16;  // one per learning rate: layers, embeddings
  auto* group_steps = array(std::vector<kernels::AdamStep>(groups, {1e-5f, 0, 1, 0.01f}));
  add("clip", 8 + groups * 4, groups * 2, [=] { kernels::clip(s, group_steps, groups, sum, 1); });
  double* history = array<double>(kernels::norm_history);
  add("reject_outlier", 8 + kernels::norm_history * 8 + 4 + 4 + 16, kernels::norm_window * 4,
      [=, do_update = array(std::vector<int>{0})] {
        kernels::reject_outlier(s, do_update, history, sum, finite, 6);
      });
  unsigned* different = array<unsigned>(1);
  std::vector<float> values(parameters);  // equal arrays, the usual case: count 0
  device_.download(values.data(), grad, parameters * sizeof(float));
  const float* same = array(values);
  add("count_differences, a layer", p * 8, 0,
      [=] { kernels::count_differences(s, different, grad, same, parameters * 4); });

  gemm_ = std::make_unique<Gemm>(device_, sizeof(T) == 2 ? Precision::bf16 : Precision::fp32);
  Gemm& gemm = *gemm_;
  T* weight = array<T>(size_t(I) * size_t(H));
  const double flops = 2.0 * capacity * H * I, io = (c * (H + I) + double(I) * H) * t;
  const View w = kernels::view(weight, {I}, H), wide_view = of(wide, I), x_view = of(x);
  const auto product = [this, &gemm](const char* name, double bytes, double work, const GemmArgs& args) {
    add(
        name, bytes, work, [=, &gemm] { gemm.multiply(args); }, true);
  };
  product("gemm intermediate", io, flops, {wide_view, x_view, transposed(w)});
  product("gemm intermediate, d input", io, flops, {of(y), wide_view, w});
  product("gemm intermediate, d weight", c * (H + I) * t + double(I) * h, flops,
          {kernels::view(grad, {I}, H), transposed(wide_view), x_view});
  product("gemm logits", mc * (ld * 4.0 + H * t) + double(ld) * H * t, 2 * mc * ld * H,
          {all_logits, kernels::view(chosen, targets, H), transposed(kernels::view(word, {ld}, H))});
}

}  // namespace warpbert::bench
