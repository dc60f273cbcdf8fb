// Scores of pairs by one model or several, and the score files.
//
// A model gives each pair log p[NO] and log p[YES] at its [CLS]. Both are averaged over the orders (predict.swap: (a,
// b) and (b, a)), then over the models, in double; the score is that of the means:
//
//   l_x = 1/M Σ_m 1/O Σ_o log p_{m,o}(x),  x = no, yes
//   sigmoid   1/(1 + exp(−(l_yes − l_no)))     l_yes − l_no is the mean of the logit differences
//   ratio     e^l_yes/(e^l_no + e^l_yes + 10⁻⁸)
//
// With one model and one order the means are its own values, bit for bit.
#pragma once
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "train/config/options.h"
#include "train/data/batch.h"
#include "train/step/step.h"
#include "trained_model.h"

namespace warpbert {

// log p[NO] and log p[YES] of each example, in order: [2·examples]. The pairs go through the model unmasked, in packed
// batches; with predict.swap the mean over both orders.
std::vector<double> log_probabilities(Stepper& stepper, const TokenPairs& pairs, std::span<const Example> examples,
                                      const PredictOptions& options);

// One score for each two of them.
std::vector<float> scores(std::span<const double> log_p, Score score);

// One score an example, in order.
std::vector<float> score_pairs(Stepper& stepper, const TokenPairs& pairs, std::span<const Example> examples,
                               const PredictOptions& options);

// The options that change how a trained model scores, for command lines.
inline const std::initializer_list<std::string_view> scoring_options = {"predict", "run.device", "run.threads",
                                                                        "data.max_tokens", "train.precision"};

// Scores of pairs that came one by one, and how long each took: from its ids (of clear text, its tokens) to its score,
// through all models and orders.
struct Latencies {
  std::vector<float> scores;
  std::vector<double> ms;  // of each pair
  // A pair whose buckets are new is scored before it is timed, until nothing has to be allocated, chosen or recorded
  // for it any more; how many pairs that were, and how long it took.
  int warm_ups = 0;
  double warm_up_ms = 0;
};
// Number of pairs, warm-up, median, 90th and 99th percentile (nearest rank), maximum and mean.
std::string latency_table(const Latencies& latencies);

// Models that score together. Each uses its own run's options and vocabulary, and is in memory only while it scores.
class Ensemble {
 public:
  // Finds the models, and so names what is missing before any of them works. Throws UsageError where they differ in
  // predict.score, or some read ids and some clear text.
  Ensemble(const std::vector<std::string>& runs, const std::vector<Override>& overrides);
  // The pairs of a file, "-" being standard input, once for each tokenizer: of models of clear text there may be
  // several, those of ids have none. All have the same rows and labels.
  std::vector<io::Pairs> read(const std::string& path) const;
  // Takes what read() gave. Throws std::runtime_error naming model and row for a score that is not a number.
  std::vector<float> score(const std::vector<io::Pairs>& input) const;
  // The same scores but for rounding, one pair after the other, each for itself and timed: as in a service that answers
  // requests one by one. Here all models are in memory at the same time.
  Latencies score_one_by_one(const std::vector<io::Pairs>& input) const;
  size_t size() const { return sources_.size(); }
  std::vector<std::string> files() const;  // all that the models are made of
  // How many rows are longer than the data.max_tokens of a model, and so are scored by their beginnings.
  size_t shortened(const std::vector<io::Pairs>& input) const;

 private:
  std::vector<float> scores_of(std::vector<double> log_p_sums) const;
  std::vector<ModelSource> sources_;
  struct Tokenizer {
    TextVocabulary text;
    std::string path;  // of the first model that has it
  };
  std::vector<Tokenizer> tokenizers_;  // none: ids
  std::vector<size_t> input_of_;       // [models]: which of what read() gives
};

// One score a line, %.9g: enough digits to give the same float back. Atomic; "-" is standard output.
void write_scores(const std::string& path, std::span<const float> scores);

}  // namespace warpbert
