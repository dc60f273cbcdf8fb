// Rungs of the ladders, by the checks of the shipped kernels.
#include "study/ladders/layer_norm_backward.h"
#include "study/ladders/squared_norm.h"
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
