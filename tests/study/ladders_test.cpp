// Rungs of the ladders, by the checks of the shipped kernels.
#include "study/ladders/attention_forward.h"
#include "study/ladders/cross_entropy.h"
#include "study/ladders/layer_norm_backward.h"
#include "study/ladders/squared_norm.h"
#include "tests/support/attention_forward.h"
#include "tests/support/cross_entropy.h"
#include "tests/support/layer_norm.h"
#include "tests/support/squared_norm.h"

using namespace warpbert;
using namespace warpbert::test;

static void check(const SquaredNormCheck& rung) {
  rung.every_length();
  rung.every_element_once();
  rung.double_accumulation();
  rung.not_a_number();
}

// A term passes through up to n sums, each rounded by 2⁻⁵³; n is about 2²⁰.
TEST_CASE("squared_norm, rung 1: atomics") { check({ladders::squared_norm_atomic, 0x1p-33}); }

// 8 sums in the block, then n / 256.
TEST_CASE("squared_norm, rung 2: tree") { check({ladders::squared_norm_tree, 0x1p-40}); }

// As the shipped kernel.
TEST_CASE("squared_norm, rung 3: two launches") { check({ladders::squared_norm_two_launches, 1e-14}); }

static void check(ladders::NormBackward* rung) {
  for (const Shape shape : shapes)
    for (const bool accumulate : {false, true}) check_backward<float>(shape, 0, accumulate, rung);
}

TEST_CASE("layer_norm_backward, rung 1: a thread a row") { check(ladders::layer_norm_backward_thread); }
TEST_CASE("layer_norm_backward, rung 2: a block a row") { check(ladders::layer_norm_backward_block); }
TEST_CASE("layer_norm_backward, rung 3: a warp a row") { check(ladders::layer_norm_backward_warp); }

template <class T>
static void check_dtype(ladders::CrossEntropy* launcher) {
  const CrossEntropyCheck<T> rung{launcher};
  rung.loss_and_gradient();
  rung.no_rows();
  rung.bits_of_a_row();
  rung.soft_labels();
  rung.extreme_logits();
  rung.common_offset();
  rung.not_a_number();
}
static void check(ladders::CrossEntropy* rung) { check_dtype<float>(rung), check_dtype<bf16>(rung); }

TEST_CASE("cross_entropy, rung 1: four kernels") { check(ladders::cross_entropy_four_kernels); }
TEST_CASE("cross_entropy, rung 2: three walks") { check(ladders::cross_entropy_three_walks); }
TEST_CASE("cross_entropy, rung 3: online") { check(ladders::cross_entropy_online); }
TEST_CASE("cross_entropy, rung 4: vectors") { check(ladders::cross_entropy_vectors); }

// Without dropout.
static void check(ladders::AttentionForward* launcher) {
  const AttentionForwardCheck<bf16> rung{launcher};
  const auto check = [&](AttentionCase c) {
    if (c.dropout == 0) rung.check(c);
  };
  check_all_head_sizes(to_16_tokens, check);
  check_all_head_sizes(to_64_tokens, check);
  check_all_head_sizes(several_tiles, check);
  check(to_512_tokens);
  check(padding_alone);
  rung.scores_in_the_hundreds();
  check_bits_depend_on_the_sequence_alone([&](AttentionCase c) {
    c.dropout = 0;
    return rung.bits(c);
  });
}

TEST_CASE("attention_forward, rung 1: scores in memory") { check(ladders::attention_forward_in_memory); }
TEST_CASE("attention_forward, rung 2: FMA") { check(ladders::attention_forward_fma); }
TEST_CASE("attention_forward, rung 3: mma") { check(ladders::attention_forward_mma); }
TEST_CASE("attention_forward, rung 4: padded") { check(ladders::attention_forward_padded); }
