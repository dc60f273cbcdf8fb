#include <doctest/doctest.h>

#include "tests/support/attention.h"

using namespace warpbert;
using namespace warpbert::test;

namespace {

// Runs backward on the reference's out and lse, which excludes the forward kernel's errors.
template <class T>
AttentionReference<T> run_backward(AttentionRun<T>& run) {
  const AttentionCase& c = run.c;
  AttentionReference<T> right(c, run.qkv_values, run.bias_values);
  std::vector<T> out(right.out.value.size());
  for (size_t i = 0; i < out.size(); i++) out[i] = from_float<T>(float(right.out.value[i]));
  std::copy(out.begin(), out.end(), run.out.data());
  for (int h = 0; h < c.heads; h++)
    for (int i = 0; i < c.tokens(); i++)
      run.lse[size_t(h) * run.capacity + i] = float(right.lse[size_t(h) * c.tokens() + i]);
  run.backward();
  right.backward(run.dout_values, out);
  return right;
}

template <class T>
void check_backward(const AttentionCase& c) {
  CAPTURE(c.head_size);
  CAPTURE(c.max_length);
  CAPTURE(c.dropout);
  AttentionRun<T> run(c);
  const AttentionReference<T> right = run_backward(run);
  Worst worst[3];
  for (size_t i = 0; i < right.dqkv.value.size(); i++)
    worst[i / run.hidden % 3].add(to_float(run.dqkv[i]), right.dqkv.value[i], right.dqkv.size[i]);
  CHECK(worst[0].value < attention_tolerance<T>);  // dq
  CHECK(worst[1].value < attention_tolerance<T>);  // dk
  CHECK(worst[2].value < attention_tolerance<T>);  // dv
  int not_zero = 0;
  for (size_t i = right.dqkv.value.size(); i < run.dqkv.size(); i++) not_zero += to_float(run.dqkv[i]) != 0;
  CHECK(not_zero == 0);
}

// dqkv of the real tokens, for bitwise comparison.
template <class T>
std::vector<float> backward_bits(const AttentionCase& c) {
  AttentionRun<T> run(c);
  run.forward();
  run.backward();
  std::vector<float> bits;
  for (size_t i = 0; i < size_t(c.tokens()) * 3 * run.hidden; i++) bits.push_back(to_float(run.dqkv[i]));
  return bits;
}

}  // namespace

TEST_CASE_TEMPLATE("attention_backward: one warp, sequences to 16 tokens", T, float, bf16) {
  check_all_head_sizes(to_16_tokens, check_backward<T>);
}

TEST_CASE_TEMPLATE("attention_backward: sequences to 64 tokens", T, float, bf16) {
  check_all_head_sizes(to_64_tokens, check_backward<T>);
}

TEST_CASE_TEMPLATE("attention_backward: two and three warps", T, float, bf16) {
  check_backward<T>(two_warps), check_backward<T>(three_warps);
}

TEST_CASE_TEMPLATE("attention_backward: several tiles", T, float, bf16) {
  check_all_head_sizes(several_tiles, check_backward<T>);
}

TEST_CASE_TEMPLATE("attention_backward: 512 tokens", T, float, bf16) { check_backward<T>(to_512_tokens); }

TEST_CASE("attention_backward: dropout where four neighbouring elements straddle rows") {
  check_backward<float>(odd_positions);
  check_backward<float>(
      {.lengths = {70}, .heads = 3, .head_size = 16, .max_length = 70, .max_positions = 71, .dropout = 0.5f});
}

TEST_CASE_TEMPLATE("attention_backward: the rows after a sequence do not matter, however low its scores", T,
                   float, bf16) {
  // Every score is far below zero, so exp(0 − lse) of a nonexistent key would be infinite.
  AttentionCase c{.lengths = {5, 70}, .heads = 1, .head_size = 16, .max_length = 70};
  AttentionRun<T> run(c);
  for (size_t i = 0; i < run.qkv_values.size(); i++) {
    const int part = int(i / run.hidden % 3);
    if (part < 2) run.qkv[i] = run.qkv_values[i] = from_float<T>(part ? 10.f : -10.f);
  }
  const AttentionReference<T> right = run_backward(run);
  CHECK(run.lse[0] < -100);
  Worst worst;
  for (size_t i = 0; i < right.dqkv.value.size(); i++)
    worst.add(to_float(run.dqkv[i]), right.dqkv.value[i], right.dqkv.size[i]);
  CHECK(worst.value < attention_tolerance<T> + 1e-3);  // scores of 400 have errors of a few 2⁻²⁴·400
}

TEST_CASE("attention_backward: a batch of padding rows alone") { check_backward<bf16>(padding_alone); }

TEST_CASE_TEMPLATE("attention_backward: the bits depend on the sequence alone", T, float, bf16) {
  check_bits_depend_on_the_sequence_alone(backward_bits<T>);
}

TEST_CASE("attention_backward: refuses what it cannot do") {
  AttentionRun<float> run({.lengths = {5}, .max_length = 16});
  const auto call = [&](int max_length, int head_size) {
    kernels::AttentionArgs args = run.args();
    args.qkv = view(run.qkv, run.rows(), 3 * 2 * head_size);
    args.sequences = {run.starts, 1, max_length, 1024};
    const auto out = view(run.out, run.rows(), 2 * head_size);
    kernels::attention_backward(nullptr, view(run.dqkv, run.rows(), 3 * 2 * head_size), out, out, args);
  };
  CHECK_THROWS_WITH_AS(call(16, 24), doctest::Contains("attention_backward: head_size must be"),
                       std::invalid_argument);
  CHECK_THROWS_AS(call(513, 64), std::invalid_argument);
  kernels::Rows fewer = run.rows();
  fewer.capacity--;
  const auto out = [&](kernels::Rows rows) { return view(run.out, rows, run.hidden); };
  const auto dqkv = [&](kernels::Rows rows) { return view(run.dqkv, rows, 3 * run.hidden); };
  for (const auto& [dqkv_rows, out_rows] : {std::pair{fewer, run.rows()}, {run.rows(), fewer}})
    CHECK_THROWS_WITH_AS(
        kernels::attention_backward(nullptr, dqkv(dqkv_rows), out(out_rows), out(run.rows()), run.args()),
        doctest::Contains("differ in rows"), std::invalid_argument);
}
