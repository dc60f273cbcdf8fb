// predict --run DIR --input pairs.tsv --output scores.csv: scores pairs with the best model of a run.
#include <filesystem>

#include "io/error.h"
#include "io/tsv.h"
#include "train/command_line.h"
#include "train/main.h"
#include "train/model_file.h"
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

  const std::string config = run + "/config.ini", model = run + "/best.npz";
  for (const std::string& file : {config, model})
    if (!std::filesystem::exists(file))
      throw io::Error(fmt::format("{}: not found; --run needs the folder of a run that train has finished", file));
  Options options = read_options(config);
  for (const Override& o : line.overrides()) set_option(options, o);

  io::Pairs pairs = io::read_pairs(input);
  truncate(pairs, options.data.max_tokens);
  const Vocabulary vocabulary = load_vocabulary(model);
  const auto device = open_device(options.run);
  Bert bert(bert_config(options.model, vocabulary.size()));
  bert.store.allocate(*device, options.train.precision, false);
  load_model(model, bert);
  Stepper stepper(*device, bert, options.train.precision, 0, {}, false, false);
  write_scores(output, score_pairs(stepper, vocabulary.encode(pairs), all_examples(pairs), options.predict));
  fmt::print("{} scores written to {}\n", pairs.size(), output);
  return 0;
}

int main(int argc, char** argv) { return run_main(argc, argv, predict); }
