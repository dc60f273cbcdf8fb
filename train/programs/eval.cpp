// eval --run DIR … [--against DIR …] --input labelled.tsv: measures trained models, compares two.
#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <optional>

#include "io/atomic_file.h"
#include "io/error.h"
#include "io/tsv.h"
#include "processes.h"
#include "programs.h"
#include "train/config/command_line.h"
#include "train/score/evaluation.h"
#include "train/score/scoring.h"

using namespace warpbert;

namespace {

// Models that score together, or one file of scores.
struct Side {
  std::string scores;  // the file; "": models
  std::vector<std::string> models;
};

Side make_side(const std::string& flag, const std::vector<std::string>& paths) {
  const auto file = std::find_if(paths.begin(), paths.end(), is_score_file);
  if (file == paths.end()) return {"", paths};
  if (paths.size() > 1)
    throw UsageError(fmt::format("{}: {} is a file of scores, which is given alone", flag, *file));
  return {*file, {}};
}

// Both sides on the same rows.
class Scores {
 public:
  Scores(const Side& first, const Side& second, const std::vector<Override>& overrides)
      : sides_{first, second} {
    std::vector<std::string> models = first.models;
    models.insert(models.end(), second.models.begin(), second.models.end());
    if (!models.empty()) models_.emplace(models, overrides);
  }

  std::vector<std::string> files() const {
    std::vector<std::string> all = models_ ? models_->files() : std::vector<std::string>();
    for (const Side& side : sides_)
      if (!side.scores.empty()) all.push_back(side.scores);
    return all;
  }

  std::optional<double> threshold() const {
    return sides_[0].models.size() == 1 ? models_->threshold(0) : std::nullopt;
  }

  // Row i is line i + 1: there are no blank lines.
  std::vector<float> read(const std::string& path) {
    input_ = path == "-" ? "standard input" : path;
    if (models_) pairs_ = models_->read(path).pairs;
    const std::vector<float> labels = models_ ? pairs_[0].labels : io::read_labels(path);
    for (size_t row = 0; row < labels.size(); row++)
      if (labels[row] == io::no_label)
        io::fail("{}: line {}: no label; eval needs one in every row", input_, row + 1);
    rows_ = labels.size();
    return labels;
  }

  std::vector<float> score(size_t side) const {
    const Side& s = sides_[side];
    if (s.scores.empty()) return models_->score(pairs_, side ? sides_[0].models.size() : 0, s.models.size());
    std::vector<float> scores = read_scores(s.scores);
    if (scores.size() != rows_)
      io::fail("{}: {} scores, but {} has {} rows", s.scores, scores.size(), input_, rows_);
    return scores;
  }

  size_t truncated() const { return models_ ? models_->truncated(pairs_) : 0; }

 private:
  Side sides_[2];
  std::optional<Ensemble> models_;  // of both sides
  std::vector<io::Pairs> pairs_;
  std::string input_;
  size_t rows_ = 0;
};

}  // namespace

// True if the run's threshold does not apply.
static bool changes_scores(const std::vector<Override>& overrides) {
  return std::any_of(overrides.begin(), overrides.end(), [](const Override& override) {
    return override.key == "predict.score" || override.key == "predict.swap";
  });
}

int warpbert::eval_main(int argc, char** argv) {
  const Processes processes;
  std::vector<std::string> runs, others;
  std::string input, output, threshold_text;
  int resamples = 1000;
  uint64_t seed = 0;
  bool json = false;
  CommandLine line(
      "eval",
      "Scores labelled pairs as predict does and prints AUC, log loss, accuracy and F1 with their 95 % "
      "bootstrap intervals.\nA soft label of 0.5 or more is positive.");
  line.repeated("--run", "DIR",
                "a trained model, as for predict; once more for each further model. Or a file of scores, as "
                "predict writes it",
                runs);
  line.required(
      "--input", "FILE",
      "pairs, ids<TAB>ids<TAB>label a line, or plain text, as the model was trained on; - for standard input",
      input);
  line.repeated(
      "--against", "DIR",
      "compare with this model or file of scores on the same rows: differences of AUC and log loss, "
      "by paired resamples; once more for each further model",
      others, false);
  line.optional("--threshold", "T",
                "also measure accuracy, F1, precision and recall at scores of T or more; default: where the "
                "run's validation has the highest F1",
                threshold_text);
  line.optional("--output", "FILE", "where the scores go, if they are wanted", output);
  line.integer("--bootstrap", "N", "resamples; 0: no intervals", resamples, 0, 10'000'000);
  line.integer("--seed", "S", "seed of the resamples; the same seed gives the same intervals", seed, 0,
               std::numeric_limits<int64_t>::max());
  line.toggle("--json", "print one line of JSON for programs", json);
  line.options(scoring_options);
  if (!line.parse(argc, argv)) return 0;
  if (io::is_standard_output(output))
    throw UsageError("--output: standard output carries the table; name a file");
  if (processes.several() && input == "-")
    throw UsageError("standard input: several processes cannot share it; start one");

  const bool compares = !others.empty();
  Scores both(make_side("--run", runs), make_side("--against", others), line.overrides());
  std::optional<Threshold> threshold;
  if (!threshold_text.empty())
    threshold = {float(parse_number("--threshold", threshold_text, 1)), "as given"};
  else if (const auto of_run = both.threshold(); of_run && !changes_scores(line.overrides()))
    threshold = {float(*of_run), "of the run's validation rows"};
  std::vector<std::string> files = both.files();
  files.push_back(input);
  refuse_overwriting(output, files);

  const std::vector<float> labels = both.read(input), scores = both.score(0);
  if (!output.empty() && processes.is_root()) write_scores(output, scores);
  const Evaluation evaluation = evaluate(scores, labels, resamples, seed, threshold);
  const PairedComparison comparison =
      compares ? compare(scores, both.score(1), labels, resamples, seed) : PairedComparison{};
  const size_t truncated = both.truncated();
  if (json) {
    warn_of_truncated(truncated);
    fmt::print("{}", compares ? evaluation_json(evaluation, comparison) : evaluation_json(evaluation));
    return 0;
  }
  fmt::print("{}{}", evaluation_table(evaluation), compares ? comparison_table(comparison) : "");
  if (truncated) fmt::print("{} pairs were truncated to data.max_tokens\n", truncated);
  return 0;
}
