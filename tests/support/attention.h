// Attention reference in double, looping over queries and keys.
#pragma once
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "kernels/kernels.h"
#include "tests/support/buffer.h"
#include "tests/support/dropout.h"
#include "tests/support/rows.h"

namespace warpbert::test {

struct AttentionCase {
  std::vector<int> lengths;
  int heads = 2, head_size = 64, max_length = 64, max_positions = 512;
  float dropout = 0;
  int padding = 3;
  float spread = 1;  // standard deviation of q, k, v

  int tokens() const { return std::accumulate(lengths.begin(), lengths.end(), 0); }
  int hidden() const { return heads * head_size; }
};

// Cases for forward and backward: warp borders (16 rows), tile borders (64) and the maximum length.
inline const AttentionCase to_16_tokens{.lengths = {1, 16, 2, 15, 0, 9}, .heads = 3, .max_length = 16},
    to_64_tokens{.lengths = {17, 1, 31, 64, 33, 15, 48, 63}, .max_length = 64},
    two_warps{.lengths = {32, 5, 17}, .max_length = 32, .dropout = 0.1f},
    three_warps{.lengths = {33, 5, 47}, .max_length = 47, .dropout = 0.1f},
    several_tiles{.lengths = {65, 3, 100, 16, 129}, .heads = 1, .max_length = 129},
    to_512_tokens{.lengths = {512}, .heads = 1, .head_size = 32, .max_length = 512},
    odd_positions{.lengths = {19, 7},
                  .heads = 3,
                  .head_size = 16,
                  .max_length = 19,
                  .max_positions = 19,
                  .dropout = 0.5f},
    padding_alone{.lengths = {}, .max_length = 0};

template <class Check>
void check_all_head_sizes(AttentionCase c, Check check) {
  for (int head_size : {16, 32, 64, 128})
    for (float dropout : {0.f, 0.3f}) {
      c.head_size = head_size, c.dropout = dropout;
      check(c);
    }
}

// Results of real tokens must be bitwise equal across runs, max_length and padding rows.
template <class Bits>
void check_bits_depend_on_the_sequence_alone(Bits bits) {
  AttentionCase c{.lengths = {1, 16, 7, 12}, .heads = 2, .head_size = 128, .max_length = 16, .dropout = 0.1f};
  const auto expected = bits(c);
  for (int max_length : {16, 33, 64, 512}) {
    c.max_length = max_length;
    CHECK(bits(c) == expected);
  }
  c.padding = 200;
  CHECK(bits(c) == expected);
}

constexpr kernels::RandomState attention_random = {0x123456789abcdef, 7, 41};
constexpr uint32_t attention_site = 21;

// Each term and the result are rounded to T once. float: about ten roundings of the score, amplified by exp.
template <class T>
constexpr double attention_tolerance = sizeof(T) == 2 ? 1.0 / 256 : 1e-5;

// value: expected result. size: scale of the tolerance, the sum of |a·b| of the last product. A factor a that
// is a difference is computed in float: `fine` is the size of its operands, weighted with float's tolerance.
template <class T>
struct Reference {
  std::vector<double> value, size;
  explicit Reference(size_t n) : value(n), size(n, 1e-30) {}
  void add(size_t i, double a, double b, double fine = 0) {
    value[i] += a * b;
    size[i] += std::abs(a * b) + attention_tolerance<float> / attention_tolerance<T> * fine * std::abs(b);
  }
};

template <class T>
class AttentionReference {
 public:
  AttentionReference(const AttentionCase& c, const std::vector<T>& qkv, const std::vector<float>& bias)
      : out(size_t(c.tokens()) * c.hidden()),
        lse(size_t(c.tokens()) * c.heads),
        dqkv(out.value.size() * 3),
        c_(c),
        x_(size_t(c.tokens()) * 3 * c.hidden()) {
    const int columns = 3 * c.hidden();
    for (size_t i = 0; i < x_.size(); i++)
      x_[i] = to_float(from_float<T>(to_float(qkv[i]) + bias[i % columns]));
    each([&](int first, int length, int head) { forward(first, length, head); });
  }

  // Computes Δ from `saved_out`, the stored forward output.
  void backward(const std::vector<T>& dout, const std::vector<T>& saved_out) {
    each([&](int first, int length, int head) { backward(dout, saved_out, first, length, head); });
  }

  Reference<T> out;         // [N, H]
  std::vector<double> lse;  // [heads, N]
  Reference<T> dqkv;        // [N, 3H]

 private:
  template <class F>
  void each(F f) {
    int first = 0;
    for (int length : c_.lengths) {
      for (int head = 0; head < c_.heads; head++) f(first, length, head);
      first += length;
    }
  }
  size_t index(int row, int part, int head, int d) const {
    return (size_t(row) * 3 + part) * c_.hidden() + head * c_.head_size + d;
  }
  double score(int query, int key, int head) const {
    double s = 0;
    for (int d = 0; d < c_.head_size; d++) s += x_[index(query, 0, head, d)] * x_[index(key, 1, head, d)];
    return s / std::sqrt(double(c_.head_size));
  }
  double factor(int query, int key, int head) const {  // key: position within the sequence
    return dropout_factor({c_.dropout, attention_site, &attention_random},
                          (uint64_t(query) * c_.heads + head) * c_.max_positions + key,
                          uint64_t(c_.heads) * c_.max_positions);
  }
  std::vector<double> probabilities(int query, int first, int length, int head, double& lse) const {
    std::vector<double> p(length);
    for (int j = 0; j < length; j++) p[j] = score(query, first + j, head);
    const double most = *std::max_element(p.begin(), p.end());
    double sum = 0;
    for (double s : p) sum += std::exp(s - most);
    lse = most + std::log(sum);
    for (double& s : p) s = std::exp(s - lse);
    return p;
  }
  void forward(int first, int length, int head) {
    for (int row = first; row < first + length; row++) {
      const auto p = probabilities(row, first, length, head, lse[size_t(head) * c_.tokens() + row]);
      for (int j = 0; j < length; j++)
        for (int d = 0; d < c_.head_size; d++)
          out.add(size_t(row) * c_.hidden() + head * c_.head_size + d, p[j] * factor(row, j, head),
                  x_[index(first + j, 2, head, d)]);
    }
  }
  void backward(const std::vector<T>& dout, const std::vector<T>& saved_out, int first, int length,
                int head) {
    const double scale = 1 / std::sqrt(double(c_.head_size));
    for (int row = first; row < first + length; row++) {
      double unused, delta = 0, delta_size = 0;
      const auto p = probabilities(row, first, length, head, unused);
      const size_t at = size_t(row) * c_.hidden() + head * c_.head_size;
      for (int d = 0; d < c_.head_size; d++) {
        const double term = double(to_float(dout[at + d])) * to_float(saved_out[at + d]);
        delta += term, delta_size += std::abs(term);
      }
      for (int j = 0; j < length; j++) {
        const double f = factor(row, j, head);
        double dp = 0, dp_size = 0;
        for (int d = 0; d < c_.head_size; d++) {
          const double term = f * to_float(dout[at + d]) * x_[index(first + j, 2, head, d)];
          dp += term, dp_size += std::abs(term);
        }
        const double ds = p[j] * (dp - delta) * scale, fine = p[j] * (dp_size + delta_size) * scale;
        for (int d = 0; d < c_.head_size; d++) {
          dqkv.add(index(row, 0, head, d), ds, x_[index(first + j, 1, head, d)], fine);
          dqkv.add(index(first + j, 1, head, d), ds, x_[index(row, 0, head, d)], fine);
          dqkv.add(index(first + j, 2, head, d), p[j] * f, to_float(dout[at + d]));
        }
      }
    }
  }

  AttentionCase c_;
  std::vector<double> x_;  // q, k, v plus bias, rounded to T as in the kernels
};

// `scores`: [heads, capacity, max_length], for launchers that keep scores in device memory.
using AttentionForward = void(kernels::Stream, kernels::View out, float* scores,
                              const kernels::AttentionArgs&);

inline void shipped_attention_forward(kernels::Stream stream, kernels::View out, float*,
                                      const kernels::AttentionArgs& args) {
  kernels::attention_forward(stream, out, args);
}

// Inputs (padding rows poisoned) and outputs of the kernels.
template <class T>
class AttentionRun {
 public:
  explicit AttentionRun(const AttentionCase& c, int seed = 1)
      : c(c),
        capacity(c.tokens() + c.padding),
        hidden(c.hidden()),
        qkv_values(normal<T>(size_t(c.tokens()) * 3 * hidden, c.spread, 0, seed)),
        bias_values(normal<float>(3 * hidden, 0.5f, 0, seed + 1)),
        dout_values(normal<T>(size_t(c.tokens()) * hidden, 1, 0, seed + 2)),
        qkv(size_t(capacity) * 3 * hidden),
        bias(bias_values),
        dout(size_t(capacity) * hidden),
        out(size_t(capacity) * hidden),
        dqkv(size_t(capacity) * 3 * hidden),
        lse(size_t(capacity) * c.heads),
        starts(c.lengths.size() + 3),
        count(1),
        random(1) {
    std::copy(qkv_values.begin(), qkv_values.end(), qkv.data());
    std::copy(dout_values.begin(), dout_values.end(), dout.data());
    starts[0] = 0;
    for (size_t i = 0; i < starts.size() - 1; i++)
      starts[i + 1] = starts[i] + (i < c.lengths.size() ? c.lengths[i] : 0);
    count[0] = c.tokens();
    random[0] = attention_random;
  }

  int sequences() { return int(starts.size()) - 1; }  // the last two are empty
  kernels::Rows rows() { return {capacity, count.data()}; }
  kernels::Dropout dropout() { return {c.dropout, attention_site, c.dropout > 0 ? random.data() : nullptr}; }
  kernels::View of(Buffer<T>& x) { return view(x, rows(), int(x.size() / size_t(std::max(capacity, 1)))); }
  kernels::AttentionArgs args() {
    return {of(qkv), bias, lse, {starts, sequences(), c.max_length, c.max_positions}, c.heads, dropout()};
  }
  void forward(AttentionForward* launcher = shipped_attention_forward) {
    Buffer<float> scores(size_t(capacity) * c.heads * c.max_length);
    launcher(nullptr, of(out), scores, args());
    synchronize();
  }
  void backward() {
    kernels::attention_backward(nullptr, of(dqkv), of(dout), of(out), args());
    synchronize();
  }

  AttentionCase c;
  int capacity, hidden;
  std::vector<T> qkv_values;
  std::vector<float> bias_values;
  std::vector<T> dout_values;
  Buffer<T> qkv;
  Buffer<float> bias;
  Buffer<T> dout, out, dqkv;
  Buffer<float> lse;
  Buffer<int> starts, count;
  Buffer<kernels::RandomState> random;
};

}  // namespace warpbert::test
