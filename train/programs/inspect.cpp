// inspect --config F.ini --batch batch.npz --output out.npz [--steps K]: dumps a model's outputs and
// gradients.
#include "programs.h"
#include "train/config/command_line.h"
#include "train/step/inspection.h"

using namespace warpbert;

int warpbert::inspect_main(int argc, char** argv) {
  std::string config, batch, output;
  int steps = 0;
  CommandLine line(
      "inspect",
      "Runs the model of a configuration on given batches, dropout off, and writes its loss, logits, hidden "
      "states and all gradients, for comparison with other programs.");
  line.required("--config", "FILE", "the configuration of a run", config);
  line.required("--batch", "FILE",
                "an .npz of tokens_k and targets_k [B, T], int32, k from 0; 0 is padding, or no target",
                batch);
  line.required("--output", "FILE", "the .npz to be written", output);
  line.integer("--steps", "K",
               "also takes K Adam steps, over batches 0 to K - 1, and writes losses and parameters", steps, 0,
               1'000'000);
  line.options();
  if (!line.parse(argc, argv)) return 0;
  const Options options = read_options(config, line.overrides());
  const DataOptions& data = options.data;
  refuse_standard_output(output);
  refuse_overwriting(output, {batch, config, data.train, data.test, data.counts, data.vocab,
                              options.model.weights, options.model.config});
  inspect(options, batch, output, steps);
  return 0;
}
