// average A.npz B.npz … --output C.npz, average --run DIR --output C.npz: averages models' weights.
#include <fmt/format.h>

#include "io/text.h"
#include "programs.h"
#include "train/config/command_line.h"
#include "train/weights/averaging.h"

using namespace warpbert;

int warpbert::average_main(int argc, char** argv) {
  std::vector<std::string> files;
  std::string run, output;
  CommandLine line(
      "average",
      "Writes the model whose weights are the means of those of two models or more. In the folder of its "
      "run it is scored\nwith predict --run FILE.npz.");
  line.arguments("FILE.npz", "model files of one vocabulary: best.npz, models/epoch-0007.npz, checkpoints",
                 files);
  line.optional("--run", "DIR", "instead of files: all that this run kept in DIR/models (run.keep_best)",
                run);
  line.required("--output", "FILE.npz", "the model file to be written", output);
  if (!line.parse(argc, argv)) return 0;
  if (files.empty() == run.empty())
    throw UsageError(run.empty() ? "which models? Name their files, or --run DIR; --help explains both"
                                 : "name files or --run DIR, not both");
  if (files.size() == 1) throw UsageError(files[0] + ": one model is its own mean; name two or more");
  if (!run.empty()) files = kept_models(run);
  refuse_standard_output(output);
  refuse_overwriting(output, files);
  average_models(files, output);
  fmt::print("mean of {} models written to {}\n", files.size(), io::printable(output));
  return 0;
}
