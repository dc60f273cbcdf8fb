#include EXERCISE
#include "study/exercises/exercise.h"

namespace warpbert::study {

const char* const kernel = "multiply_kernel";
const Goal goal = {.sectors = 2};  // a load takes half a sector of eight columns, a store every other column

void run(Check& check) {
  const float *x = check.input("x", 16 * 64), *y = check.input("y", 16 * 64);
  float* const c = check.output("c", 16 * 16);
  launch<multiply_kernel>(1, 32, 0, nullptr, c, x, y);
  const auto rounded = [](float value) { return double(to_float(to_bf16(value))); };
  for (size_t row = 0; row < 16; row++)
    for (size_t column = 0; column < 16; column++) {
      double sum = 0;
      for (size_t k = 0; k < 64; k++) sum += rounded(x[row * 64 + k]) * rounded(y[column * 64 + k]);
      check.expect(c, row * 16 + column, sum);
    }
}

}  // namespace warpbert::study
