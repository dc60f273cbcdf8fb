// eval --run DIR [--run DIR …] --input labelled.tsv: measures trained models, with bootstrap intervals.
#include <fmt/format.h>

#include <limits>

#include "io/atomic_file.h"
#include "io/error.h"
#include "io/tsv.h"
#include "programs.h"
#include "train/config/command_line.h"
#include "train/score/evaluation.h"
#include "train/score/scoring.h"

using namespace warpbert;

// Row i is line i + 1: there are no blank lines.
static std::vector<io::Pairs> read_labelled(const Ensemble& ensemble, const std::string& path) {
  std::vector<io::Pairs> input = ensemble.read(path).pairs;
  const io::Pairs& pairs = input[0];
  for (size_t row = 0; row < pairs.size(); row++)
    if (!pairs.labelled(row))
      io::fail("{}: line {}: no label; eval needs one in every row", path == "-" ? "standard input" : path,
               row + 1);
  return input;
}

int warpbert::eval_main(int argc, char** argv) {
  std::vector<std::string> runs;
  std::string input, output, resamples = "1000", seed = "0";
  bool json = false;
  CommandLine line(
      "eval",
      "Scores labelled pairs as predict does and prints AUC, log loss, accuracy and F1 with their 95 % "
      "bootstrap intervals.\nA soft label of 0.5 or more is positive.");
  line.repeated("--run", "DIR", "a trained model, as for predict; once more for each further model", runs);
  line.required(
      "--input", "FILE",
      "pairs, ids<TAB>ids<TAB>label a line, or clear text, as the model was trained on; - for standard input",
      input);
  line.optional("--output", "FILE", "where the scores go, if they are wanted", output);
  line.optional("--bootstrap", "N", "resamples; 0: no intervals", resamples);
  line.optional("--seed", "S", "of the resamples; the same seed gives the same intervals", seed);
  line.toggle("--json", "print one line of JSON for programs", json);
  line.options(scoring_options);
  if (!line.parse(argc, argv)) return 0;
  const auto n = int(parse_integer("--bootstrap", resamples, 0, 10'000'000));
  const auto s = uint64_t(parse_integer("--seed", seed, 0, std::numeric_limits<int64_t>::max()));
  if (io::is_standard_output(output))
    throw UsageError("--output: standard output carries the table; name a file");

  const Ensemble ensemble(runs, line.overrides());
  std::vector<std::string> files = ensemble.files();
  files.push_back(input);
  refuse_overwriting(output, files);
  const std::vector<io::Pairs> pairs = read_labelled(ensemble, input);
  const std::vector<float> scores = ensemble.score(pairs);
  if (!output.empty()) write_scores(output, scores);
  const Evaluation evaluation = evaluate(scores, pairs[0].labels, n, s);
  fmt::print("{}", json ? evaluation_json(evaluation) : evaluation_table(evaluation));
  const size_t shortened = ensemble.shortened(pairs);
  if (json) warn_of_shortened(shortened);
  else if (shortened) fmt::print("{} pairs were shortened to data.max_tokens\n", shortened);
  return 0;
}
