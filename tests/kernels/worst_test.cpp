// What a failing comparison of a kernel test says.
#include <doctest/doctest.h>

#include <cmath>

#include "tests/support/buffer.h"

using warpbert::test::Worst;

TEST_CASE("the largest error names its value, what was expected and what came") {
  Worst worst;
  CHECK(doctest::toString(worst.value) == "0");
  worst.add(1, 1), worst.add(3, 1), worst.add(1.5, 1);
  CHECK(doctest::toString(worst.value) == "1 (value 1: expected 1, got 3)");
  CHECK(worst.value < 1.1);
  CHECK_FALSE(worst.value < 1.0);
}

TEST_CASE("a NaN is the largest error") {
  Worst worst;
  worst.add(5, 1), worst.add(NAN, 1), worst.add(9, 1);
  CHECK(doctest::toString(worst.value) == "inf (value 1: expected 1, got nan)");
}
