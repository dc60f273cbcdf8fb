// A file of scores. Written again it reads the same.
#include "fuzz.h"
#include "train/score/scoring.h"

using namespace warpbert;
using namespace warpbert::fuzz;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string path = write("scores.csv", text_of(data, size)), again = folder() / "again.csv";
  std::vector<float> scores;
  if (!accepts(path, [&] { scores = read_scores(path); })) return 0;
  for (const float score : scores) require(score >= 0 && score <= 1, "a score is outside [0, 1]");
  write_scores(again, scores);
  require(read_scores(again) == scores, "scores that were written again read otherwise");
  return 0;
}
