#include "scoring.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <stdexcept>

#include "io/atomic_file.h"
#include "io/error.h"
#include "metrics.h"

namespace warpbert {

std::vector<double> log_probabilities(Stepper& stepper, const TokenPairs& pairs, std::span<const Example> examples,
                                      const PredictOptions& options) {
  std::vector<double> means;
  means.reserve(2 * examples.size());
  for (size_t first = 0; first < examples.size(); first += options.batch) {
    const auto part = examples.subspan(first, std::min<size_t>(options.batch, examples.size() - first));
    const auto one = stepper.log_probabilities(evaluation_batch(pairs, part, options.batch));
    means.insert(means.end(), one.begin(), one.end());
    if (!options.swap) continue;
    const auto other = stepper.log_probabilities(evaluation_batch(pairs, part, options.batch, true));
    for (size_t i = 0; i < other.size(); i++) means[2 * first + i] = (double(one[i]) + double(other[i])) / 2;
  }
  return means;
}

std::vector<float> scores(std::span<const double> log_p, Score score) {
  std::vector<float> scores(log_p.size() / 2);
  for (size_t i = 0; i < scores.size(); i++) {
    const double no = log_p[2 * i], yes = log_p[2 * i + 1];
    scores[i] = score == Score::ratio ? ratio_score(no, yes) : sigmoid_score(no, yes);
  }
  return scores;
}

std::vector<float> score_pairs(Stepper& stepper, const TokenPairs& pairs, std::span<const Example> examples,
                               const PredictOptions& options) {
  return scores(log_probabilities(stepper, pairs, examples, options), options.score);
}

// ---- Several models -------------------------------------------------------------------------------------------------

Ensemble::Ensemble(const std::vector<std::string>& runs, const std::vector<Override>& overrides) {
  for (const std::string& run : runs) sources_.push_back(find_model(run, overrides));
  for (const ModelSource& source : sources_)
    if (source.options.predict.score != sources_[0].options.predict.score)
      throw UsageError(
          fmt::format("{} and {} differ in predict.score; set --predict.score", sources_[0].path, source.path));
}

// In its own function, so that a model is gone before the next one comes.
static std::vector<double> log_probabilities(const ModelSource& source, io::Pairs pairs) {
  TrainedModel model(source);
  const int longest = model.options.data.max_tokens, positions = model.bert.config.max_positions;
  if (longest + 3 > positions)
    throw UsageError(
        fmt::format("data.max_tokens = {}: such pairs and three special tokens need {} positions; {} has {}", longest,
                    longest + 3, source.path, positions));
  truncate(pairs, longest);
  Stepper stepper(*model.device, model.bert, model.options.train.precision, 0, {}, false, false);
  auto log_p = log_probabilities(stepper, model.vocabulary.encode(pairs), all_examples(pairs), model.options.predict);
  for (size_t i = 0; i < log_p.size(); i++)
    if (std::isnan(log_p[i]))
      throw std::runtime_error(
          fmt::format("{}: the score of row {} is not a number; the model is damaged", source.weights, i / 2 + 1));
  return log_p;
}

std::vector<float> Ensemble::score(const io::Pairs& pairs) const {
  std::vector<double> means(2 * pairs.size(), 0);
  for (const ModelSource& source : sources_) {
    const auto log_p = log_probabilities(source, pairs);
    for (size_t i = 0; i < means.size(); i++) means[i] += log_p[i];
  }
  for (double& mean : means) mean /= double(sources_.size());
  return scores(means, sources_.at(0).options.predict.score);
}

// ---- Files ----------------------------------------------------------------------------------------------------------

void write_scores(const std::string& path, std::span<const float> scores) {
  std::string text;
  for (float score : scores) text += fmt::format("{:.9g}\n", score);
  if (path != "-") return io::write_file_atomically(path, text);
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() || std::fflush(stdout) != 0)
    io::fail("standard output: cannot be written: {}", std::strerror(errno));
}

}  // namespace warpbert
