// predict --run DIR [--run DIR …] --input pairs.tsv --output scores.csv: scores pairs with trained models.
#include <fmt/format.h>

#include "io/atomic_file.h"
#include "io/text.h"
#include "io/tsv.h"
#include "processes.h"
#include "programs.h"
#include "train/config/command_line.h"
#include "train/score/scoring.h"

using namespace warpbert;

int warpbert::predict_main(int argc, char** argv) {
  const Processes processes;
  std::vector<std::string> runs;
  std::string input, output;
  bool latency = false, skip_bad = false;
  CommandLine line(
      "predict",
      "Scores pairs with a trained model: one score a line, in the order of the input. Several models score "
      "together: the\nscore is that of their mean logits. Options that are not given are those of the run.");
  line.repeated(
      "--run", "DIR",
      "the folder of a run, whose best model is taken; or a model file of a run (DIR/models/epoch-0007.npz), "
      "or a folder that export wrote. Once more for each further model",
      runs);
  line.required("--input", "FILE",
                "pairs, ids<TAB>ids[<TAB>label] a line, or plain text, as the model was trained on; - for "
                "standard input",
                input);
  line.optional("--output", "FILE",
                "where the scores go; - for standard output. Required without --latency. From standard input "
                "to standard output each line is scored as it comes",
                output);
  line.toggle("--skip-bad",
              "write an empty line for a line that cannot be scored, and a warning, instead of an error",
              skip_bad);
  line.toggle("--latency", "score the pairs one by one and print how long one takes, in ms", latency);
  line.options(scoring_options);
  if (!line.parse(argc, argv)) return 0;
  if (output.empty() && !latency) throw UsageError("--output FILE is missing; --help explains it");
  if (io::is_standard_output(output) && latency)
    throw UsageError("--output: standard output carries the latencies; name a file");
  if (processes.several() && (input == "-" || latency))
    throw UsageError(fmt::format("{}: several processes cannot share it; start one",
                                 latency ? "--latency" : "standard input"));

  const Ensemble ensemble(runs, line.overrides());
  std::vector<std::string> files = ensemble.files();
  files.push_back(input);
  refuse_overwriting(output, files);
  const bool to_standard_output = io::is_standard_output(output);
  if (input == "-" && to_standard_output) return ensemble.filter(skip_bad), 0;

  const io::PairLines lines = ensemble.read(input, skip_bad);
  const std::vector<io::Pairs>& pairs = lines.pairs;
  if (latency) {
    const Latencies latencies = ensemble.score_one_by_one(pairs);
    fmt::print("{}", latency_table(latencies));
    if (!output.empty()) write_scores(output, latencies.scores, lines.gaps);
  } else {
    const std::vector<float> scores = ensemble.score(pairs);
    if (processes.is_root()) write_scores(output, scores, lines.gaps);
  }
  const size_t truncated = ensemble.truncated(pairs);
  if (to_standard_output || output.empty()) return warn_of_truncated(truncated), 0;
  fmt::print("{} scores{} written to {}{}{}\n", pairs[0].size(),
             ensemble.size() > 1 ? fmt::format(" of {} models", ensemble.size()) : "", io::printable(output),
             truncated ? fmt::format("; {} pairs were truncated to data.max_tokens", truncated) : "",
             lines.gaps.empty() ? "" : fmt::format("; {} lines have none", lines.gaps.size()));
  return 0;
}
