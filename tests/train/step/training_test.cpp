#include "train/step/training.h"

#include <doctest/doctest.h>

using namespace warpbert;

namespace {

double product(double m, double n, double k) { return 2 * m * n * k; }

}  // namespace

TEST_CASE("training: operations of a step, product by product") {
  BertConfig c;
  c.layers = 3, c.hidden = 48, c.heads = 6, c.intermediate = 160, c.vocabulary = 1000;
  Batch batch;
  batch.starts = {0, 5, 6, 17, 17};  // the last sequence is empty padding
  batch.sequences = 3, batch.tokens = 17, batch.targets = 4;
  const double N = 17, M = 4, H = 48, I = 160, V = 1000, D = H / 6;
  double expected = 3 * (product(M, H, H) + product(M, V, H));  // head: transform, logits
  for (int layer = 0; layer < 3; layer++) {
    expected += 3 * (product(N, 3 * H, H) + product(N, H, H) + product(N, I, H) + product(N, H, I));
    for (const double n : {5., 1., 11.})
      for (int head = 0; head < 6; head++)
        expected += 2 * product(n, n, D)     // scores, weighted sum
                    + 5 * product(n, n, D);  // backward: recomputed scores; gradients of p, q, k, v
  }
  CHECK(step_flops(batch, c) == doctest::Approx(expected).epsilon(1e-12));
}
