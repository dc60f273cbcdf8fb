#include <doctest/doctest.h>

#include "attention_support.h"

using namespace warpbert;
using namespace warpbert::test;

namespace {

template <class T>
void check_forward(const AttentionCase& c) {
  CAPTURE(c.head_size);
  CAPTURE(c.max_length);
  CAPTURE(c.dropout);
  AttentionRun<T> run(c);
  run.forward();
  const AttentionReference<T> right(c, run.qkv_values, run.bias_values);
  Worst out, lse;
  for (size_t i = 0; i < right.out.value.size(); i++)
    out.add(to_float(run.out[i]), right.out.value[i], right.out.size[i]);
  for (int h = 0; h < c.heads; h++)
    for (int i = 0; i < c.tokens(); i++)
      lse.add(run.lse[size_t(h) * run.capacity + i], right.lse[size_t(h) * c.tokens() + i]);
  CHECK(out.value < attention_tolerance<T>);
  CHECK(lse.value < 1e-5);  // lse and scores are float for any T
  int not_zero = 0;
  for (int i = c.tokens(); i < run.capacity; i++) {
    for (int d = 0; d < run.hidden; d++) not_zero += to_float(run.out[size_t(i) * run.hidden + d]) != 0;
    for (int h = 0; h < c.heads; h++) not_zero += run.lse[size_t(h) * run.capacity + i] != 0;
  }
  CHECK(not_zero == 0);
}

// out and lse of the real tokens, for bitwise comparison.
template <class T>
std::vector<float> forward_bits(const AttentionCase& c) {
  AttentionRun<T> run(c);
  run.forward();
  std::vector<float> bits;
  for (int i = 0; i < c.tokens(); i++) {
    for (int d = 0; d < run.hidden; d++) bits.push_back(to_float(run.out[size_t(i) * run.hidden + d]));
    for (int h = 0; h < c.heads; h++) bits.push_back(run.lse[size_t(h) * run.capacity + i]);
  }
  return bits;
}

}  // namespace

TEST_CASE_TEMPLATE("attention_forward: one warp, sequences to 16 tokens", T, float, bf16) {
  check_all_head_sizes(to_16_tokens, check_forward<T>);
}

TEST_CASE_TEMPLATE("attention_forward: sequences to 64 tokens", T, float, bf16) {
  check_all_head_sizes(to_64_tokens, check_forward<T>);
}

TEST_CASE_TEMPLATE("attention_forward: two and three warps", T, float, bf16) {
  check_forward<T>(two_warps), check_forward<T>(three_warps);
}

TEST_CASE_TEMPLATE("attention_forward: several tiles", T, float, bf16) {
  check_all_head_sizes(several_tiles, check_forward<T>);
}

TEST_CASE_TEMPLATE("attention_forward: 512 tokens", T, float, bf16) { check_forward<T>(to_512_tokens); }

TEST_CASE("attention_forward: dropout where four neighbouring elements straddle rows") {
  check_forward<float>(odd_positions);
}

TEST_CASE_TEMPLATE("attention_forward: scores in the hundreds", T, float, bf16) {
  AttentionCase c{.lengths = {70, 20}, .head_size = 64, .max_length = 70, .spread = 8};
  AttentionRun<T> run(c);
  run.forward();
  const AttentionReference<T> right(c, run.qkv_values, run.bias_values);
  Worst lse, out;
  for (int h = 0; h < c.heads; h++)
    for (int i = 0; i < c.tokens(); i++)
      lse.add(run.lse[size_t(h) * run.capacity + i], right.lse[size_t(h) * c.tokens() + i]);
  for (size_t i = 0; i < right.out.value.size(); i++)
    out.add(to_float(run.out[i]), right.out.value[i], right.out.size[i]);
  CHECK(lse.value < 1e-5);
  // Scores of 300 have errors of a few 2⁻²⁴·300, which exp turns into relative errors.
  CHECK(out.value < attention_tolerance<T> + 2e-4);
}

TEST_CASE("attention_forward: a batch of padding rows alone") { check_forward<bf16>(padding_alone); }

TEST_CASE_TEMPLATE("attention_forward: the bits depend on the sequence alone", T, float, bf16) {
  check_bits_depend_on_the_sequence_alone(forward_bits<T>);
}

TEST_CASE("attention_forward: refuses what it cannot do") {
  AttentionRun<float> run({.lengths = {5}, .max_length = 16});
  const auto call = [&](int sequences, int max_length, int heads, int head_size, int positions,
                        kernels::Dropout dropout) {
    kernels::AttentionArgs args = run.args();
    args.qkv = view(run.qkv, run.rows(), 3 * heads * head_size);
    args.sequences = {run.starts, sequences, max_length, positions};
    args.heads = heads, args.dropout = dropout;
    kernels::attention_forward(nullptr, view(run.out, run.rows(), heads * head_size), args);
  };
  CHECK_THROWS_WITH_AS(call(1, 16, 2, 48, 512, {}), doctest::Contains("attention_forward: head_size must be"),
                       std::invalid_argument);
  CHECK_THROWS_AS(call(1, 513, 2, 64, 1024, {}), std::invalid_argument);
  CHECK_THROWS_AS(call(1, -1, 2, 64, 512, {}), std::invalid_argument);
  CHECK_THROWS_AS(call(1, 16, 2, 64, 15, {}), std::invalid_argument);
  CHECK_THROWS_AS(call(65535, 16, 2, 64, 512, {}), std::invalid_argument);
  CHECK_THROWS_AS(call(1, 16, 0, 64, 512, {}), std::invalid_argument);
  CHECK_THROWS_AS(call(1, 16, 2, 64, 512, {.rate = 0.1f}), std::invalid_argument);
  CHECK_THROWS_AS(call(1, 16, 2, 64, 512, {.rate = 1, .random = run.random.data()}), std::invalid_argument);
}
