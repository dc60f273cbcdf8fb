// Pair scores by one model or an ensemble, and score files.
//
// A model gives log p[NO] and log p[YES] at each pair's [CLS]. Both are averaged in double, first over the
// orders (predict.swap: (a, b) and (b, a)), then over the models; scores (metrics.h) are of the means:
//
//   l_x = 1/M Σ_m 1/O Σ_o log p_{m,o}(x),  x = no, yes
//
// A single model and order keeps its values bit for bit.
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

// Returns [2·examples]: log p[NO] and log p[YES] of each example, unmasked. Every process of the group calls
// it, scores its share of the batches and gets all.
std::vector<double> log_probabilities(ScoreStep& step, const TokenPairs& pairs,
                                      std::span<const Example> examples, const PredictOptions& options);

std::vector<float> scores(std::span<const double> log_p, Score score);

// Options that change a trained model's scores.
inline const std::initializer_list<std::string_view> scoring_options = {
    "predict", "run.device", "run.threads", "data.max_tokens", "train.precision"};

// Pairs sent one at a time, timed from ids or tokens to score.
struct Latencies {
  std::vector<float> scores;
  std::vector<double> ms;  // per pair
  // Pairs with new capacities are first scored untimed, to allocate, autotune and capture.
  int warm_ups = 0;
  double warm_up_ms = 0;
};
// Percentiles by nearest rank.
std::string latency_table(const Latencies& latencies);

// Models that score together, each with its run's options and vocabulary; loaded only to score.
class Ensemble {
 public:
  // Throws io::Error for a missing model, UsageError if predict.score or the kind of text differs.
  Ensemble(const std::vector<std::string>& runs, const std::vector<Override>& overrides);
  // Reads a file ("-": standard input), once per tokenizer. `skip_bad` turns malformed lines into gaps.
  io::PairLines read(const std::string& path, bool skip_bad = false) const;
  // Throws std::runtime_error naming model and row for a NaN score.
  std::vector<float> score(const std::vector<io::Pairs>& input) const { return score(input, 0, size()); }
  // Models first … first + count − 1 alone.
  std::vector<float> score(const std::vector<io::Pairs>& input, size_t first, size_t count) const;
  // Times each pair; same scores up to rounding. Keeps all models in memory.
  Latencies score_one_by_one(const std::vector<io::Pairs>& input) const;
  // Scores each line of standard input at once; lines that arrive together share a batch. Keeps all models in
  // memory. Scores what precedes an error.
  void filter(bool skip_bad) const;
  size_t size() const { return sources_.size(); }
  std::optional<double> threshold(size_t model) const { return sources_.at(model).threshold; }
  std::vector<std::string> files() const;
  // Rows that exceed some model's data.max_tokens.
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

// One score per line as %.9g, which restores the float; an empty line per gap.
std::string scores_text(std::span<const float> scores, std::span<const size_t> gaps = {});

// Atomic; "-": standard output.
void write_scores(const std::string& path, std::span<const float> scores, std::span<const size_t> gaps = {});

// Warns on stderr if pairs > 0.
void warn_of_truncated(size_t pairs);

// A file of scores is neither a folder nor a file of weights.
bool is_score_file(const std::string& path);
// Throws io::Error naming a line outside [0, 1].
std::vector<float> read_scores(const std::string& path);

}  // namespace warpbert
