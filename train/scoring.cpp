#include "scoring.h"

#include <fmt/format.h>

#include <algorithm>

#include "io/atomic_file.h"
#include "metrics.h"

namespace warpbert {

std::vector<float> score_pairs(Stepper& stepper, const TokenPairs& pairs, std::span<const Example> examples,
                               const PredictOptions& options) {
  std::vector<float> scores;
  scores.reserve(examples.size());
  for (size_t first = 0; first < examples.size(); first += options.batch) {
    const auto part = examples.subspan(first, std::min<size_t>(options.batch, examples.size() - first));
    const auto log_p = stepper.log_probabilities(evaluation_batch(pairs, part, options.batch));
    for (size_t i = 0; i < part.size(); i++) {
      const float no = log_p[2 * i], yes = log_p[2 * i + 1];
      scores.push_back(options.score == Score::ratio ? ratio_score(no, yes) : sigmoid_score(no, yes));
    }
  }
  return scores;
}

void write_scores(const std::string& path, std::span<const float> scores) {
  std::string text;
  for (float score : scores) text += fmt::format("{:.9g}\n", score);
  io::write_file_atomically(path, text);
}

}  // namespace warpbert
