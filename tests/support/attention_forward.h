// Checks of a launcher of attention_forward: of the shipped kernel
// (tests/kernels/attention_forward_test.cpp), and of the rungs of its ladder (tests/study/ladders_test.cpp).
#pragma once
#include "tests/support/attention.h"

namespace warpbert::test {

template <class T>
struct AttentionForwardCheck {
  AttentionForward* launcher;

  void check(const AttentionCase& c, double more = 0) const {  // more: added to the tolerance
    CAPTURE(c.head_size);
    CAPTURE(c.max_length);
    CAPTURE(c.dropout);
    AttentionRun<T> run(c);
    run.forward(launcher);
    const AttentionReference<T> right(c, run.qkv_values, run.bias_values);
    Worst out, lse;
    for (size_t i = 0; i < right.out.value.size(); i++)
      out.add(to_float(run.out[i]), right.out.value[i], right.out.size[i]);
    for (int h = 0; h < c.heads; h++)
      for (int i = 0; i < c.tokens(); i++)
        lse.add(run.lse[size_t(h) * run.capacity + i], right.lse[size_t(h) * c.tokens() + i]);
    CHECK(out.value < attention_tolerance<T> + more);
    CHECK(lse.value < 1e-5);  // lse and scores are float for any T
    int not_zero = 0;
    for (int i = c.tokens(); i < run.capacity; i++) {
      for (int d = 0; d < run.hidden; d++) not_zero += to_float(run.out[size_t(i) * run.hidden + d]) != 0;
      for (int h = 0; h < c.heads; h++) not_zero += run.lse[size_t(h) * run.capacity + i] != 0;
    }
    CHECK(not_zero == 0);
  }

  // out and lse of the real tokens, for bitwise comparison.
  std::vector<float> bits(const AttentionCase& c) const {
    AttentionRun<T> run(c);
    run.forward(launcher);
    std::vector<float> bits;
    for (int i = 0; i < c.tokens(); i++) {
      for (int d = 0; d < run.hidden; d++) bits.push_back(to_float(run.out[size_t(i) * run.hidden + d]));
      for (int h = 0; h < c.heads; h++) bits.push_back(run.lse[size_t(h) * run.capacity + i]);
    }
    return bits;
  }

  // Scores of 300 have errors of a few 2⁻²⁴·300, which exp turns into relative errors.
  void scores_in_the_hundreds() const {
    check({.lengths = {70, 20}, .head_size = 64, .max_length = 70, .spread = 8}, 2e-4);
  }
};

}  // namespace warpbert::test
