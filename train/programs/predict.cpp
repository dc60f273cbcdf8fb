// predict --run DIR --input pairs.tsv --output scores.csv: scores pairs with the best model of a run.
#include "io/tsv.h"
#include "train/command_line.h"
#include "train/main.h"
#include "train/scoring.h"
#include "train/session.h"

using namespace warpbert;

static int predict(int argc, char** argv) {
  std::string run, input, output;
  CommandLine line("predict",
                   "Scores pairs with the best model of a run: one score a line, in the order of the input.");
  line.required("--run", "DIR", "the folder of the run", run);
  line.required("--input", "FILE", "pairs, ids<TAB>ids[<TAB>label] a line; - for standard input", input);
  line.required("--output", "FILE", "where the scores go", output);
  line.options({"predict", "run"});
  if (!line.parse(argc, argv)) return 0;

  TrainedModel model(run, line.overrides());
  io::Pairs pairs = io::read_pairs(input);
  truncate(pairs, model.options.data.max_tokens);
  Stepper stepper(*model.device, model.bert, model.options.train.precision, 0, {}, false, false);
  write_scores(output,
               score_pairs(stepper, model.vocabulary().encode(pairs), all_examples(pairs), model.options.predict));
  fmt::print("{} scores written to {}\n", pairs.size(), output);
  return 0;
}

int main(int argc, char** argv) { return run_main(argc, argv, predict); }
