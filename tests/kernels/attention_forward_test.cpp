#include <doctest/doctest.h>

#include "tests/support/attention_forward.h"

using namespace warpbert;
using namespace warpbert::test;

namespace {

template <class T>
constexpr AttentionForwardCheck<T> shipped{shipped_attention_forward};

template <class T>
void check_forward(const AttentionCase& c) {
  shipped<T>.check(c);
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
  shipped<T>.scores_in_the_hundreds();
}

TEST_CASE("attention_forward: a batch of padding rows alone") { check_forward<bf16>(padding_alone); }

TEST_CASE_TEMPLATE("attention_forward: the bits depend on the sequence alone", T, float, bf16) {
  check_bits_depend_on_the_sequence_alone([](const AttentionCase& c) { return shipped<T>.bits(c); });
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
  kernels::Rows fewer = run.rows();
  fewer.capacity--;
  CHECK_THROWS_WITH_AS(kernels::attention_forward(nullptr, view(run.out, fewer, run.hidden), run.args()),
                       doctest::Contains("differ in rows"), std::invalid_argument);
}
