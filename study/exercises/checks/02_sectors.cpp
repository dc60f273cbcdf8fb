#include EXERCISE
#include "study/exercises/exercise.h"

namespace warpbert::study {

const char* const kernel = "momentum_kernel";
const Goal goal = {};

void run(Check& check) {
  const size_t n = 2 * 2048;
  float *const weight = check.input("weight", n), *const m = check.input("m", n);
  const float* const grad = check.input("grad", n);
  const std::vector<float> weight_before(weight, weight + n), m_before(m, m + n);
  launch<momentum_kernel>(n / 2048, 256, 0, nullptr, weight, m, grad, 0.9f, 0.01f);
  for (size_t i = 0; i < n; i++) {
    const double m_after = 0.9 * m_before[i] + grad[i];
    check.expect(m, i, m_after);
    check.expect(weight, i, weight_before[i] - 0.01 * m_after);
  }
}

}  // namespace warpbert::study
