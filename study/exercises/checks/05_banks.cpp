#include EXERCISE
#include "study/exercises/exercise.h"

namespace warpbert::study {

const char* const kernel = "column_sums_kernel";
const Goal goal = {.sectors = 1.8, .barriers = 1};  // a load of four columns takes half a sector

void run(Check& check) {
  const float* const x = check.input("x", 4 * 256);
  float* const sums = check.output("sums", 256);
  launch<column_sums_kernel>(1, 128, 0, nullptr, sums, x);
  for (size_t c = 0; c < 256; c++) {
    double sum = 0;
    for (size_t row = 0; row < 4; row++) sum += x[row * 256 + c];
    check.expect(sums, c, sum);
  }
}

}  // namespace warpbert::study
