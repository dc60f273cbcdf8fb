// Pair scores by one model or an ensemble, and score files.
//
// A model gives log p[NO] and log p[YES] at each pair's [CLS]. Both are averaged in double, over the orders
// (predict.swap: (a, b) and (b, a)), then over the models. The score is that of the means:
//
//   l_x = 1/M Σ_m 1/O Σ_o log p_{m,o}(x),  x = no, yes
//   sigmoid   1/(1 + exp(−(l_yes − l_no)))     l_yes − l_no is the mean of the logit differences
//   ratio     e^l_yes/(e^l_no + e^l_yes + 10⁻⁸)
//
// With one model and one order, the means are its own values, bit for bit.
#pragma once
#include <initializer_list>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "train/config/options.h"
#include "train/data/batch.h"
#include "train/step/score_step.h"
#include "trained_model.h"

namespace warpbert {

// Returns log p[NO] and log p[YES] of each example, in order, [2·examples]: unmasked, in packed batches.
// predict.swap averages both orders. Every process of the group calls it, scores its share of the batches and
// gets all.
std::vector<double> log_probabilities(ScoreStep& step, const TokenPairs& pairs,
                                      std::span<const Example> examples, const PredictOptions& options);

// One score per pair of log probabilities.
std::vector<float> scores(std::span<const double> log_p, Score score);

// Options that change a trained model's scores.
inline const std::initializer_list<std::string_view> scoring_options = {
    "predict", "run.device", "run.threads", "data.max_tokens", "train.precision"};

// Scores and latencies of pairs sent one at a time: from ids (plain text: tokens) to score, through all
// models and orders.
struct Latencies {
  std::vector<float> scores;
  std::vector<double> ms;  // per pair
  // A pair with new capacities is first scored untimed, until nothing is left to allocate, choose or capture:
  // number of such pairs, and their time.
  int warm_ups = 0;
  double warm_up_ms = 0;
};
// Number of pairs, warm-up, median, 90th and 99th percentile (nearest rank), maximum and mean.
std::string latency_table(const Latencies& latencies);

// Models that score together, each with its own run's options and vocabulary, in memory only while it scores.
class Ensemble {
 public:
  // Finds all models first, so that a missing one is reported early. Throws UsageError if predict.score
  // differs, or if some read ids and others plain text.
  Ensemble(const std::vector<std::string>& runs, const std::vector<Override>& overrides);
  // Reads a file ("-": standard input), rows once per tokenizer, for models of ids once. With `skip_bad`
  // lines that are no rows are gaps.
  io::PairLines read(const std::string& path, bool skip_bad = false) const;
  // Takes the pairs of read(). Throws std::runtime_error naming model and row for a NaN score.
  std::vector<float> score(const std::vector<io::Pairs>& input) const { return score(input, 0, size()); }
  // Scores of the models first … first + count − 1 alone.
  std::vector<float> score(const std::vector<io::Pairs>& input, size_t first, size_t count) const;
  // The same scores up to rounding, pair by pair and timed, as in a service. Keeps all models in memory.
  Latencies score_one_by_one(const std::vector<io::Pairs>& input) const;
  // Scores standard input as its lines arrive, and writes each score at once to standard output. Lines that
  // arrive together share a batch. Keeps all models in memory. Scores what precedes an error.
  void filter(bool skip_bad) const;
  size_t size() const { return sources_.size(); }
  std::optional<double> threshold(size_t model) const { return sources_.at(model).threshold; }
  std::vector<std::string> files() const;  // of all models
  // Number of rows that exceed some model's data.max_tokens and are truncated.
  size_t truncated(const std::vector<io::Pairs>& input) const;

 private:
  std::vector<io::WordPiece> tokenizers() const;
  std::vector<float> scores_of(std::vector<double> log_p_sums, size_t models) const;
  std::vector<ModelSource> sources_;
  struct Tokenizer {
    TextVocabulary text;
    std::string path;  // of the first model that has it
  };
  std::vector<Tokenizer> vocabularies_;  // none: ids
  std::vector<size_t> input_of_;         // [models]: index into read()
};

// One score per line, %.9g, which restores the float; an empty line for each gap.
std::string scores_text(std::span<const float> scores, std::span<const size_t> gaps = {});

// Atomic; "-" is standard output.
void write_scores(const std::string& path, std::span<const float> scores, std::span<const size_t> gaps = {});

// "warning: 3 pairs were truncated to data.max_tokens" on stderr, if any was.
void warn_of_truncated(size_t pairs);

// Returns whether --run or --against names a file of scores: neither a folder nor a file of weights.
bool is_score_file(const std::string& path);
// Throws io::Error naming the line of what is no number in [0, 1].
std::vector<float> read_scores(const std::string& path);

}  // namespace warpbert
