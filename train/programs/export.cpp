// export --run DIR --output hf/: writes the best model of a run as a folder for transformers.
#include <fmt/format.h>

#include "io/text.h"
#include "programs.h"
#include "train/config/command_line.h"
#include "train/score/trained_model.h"
#include "train/weights/model_file.h"

using namespace warpbert;

int warpbert::export_main(int argc, char** argv) {
  std::string run, output;
  CommandLine line(
      "export",
      "Writes the best model of a run as a folder that transformers' BertForMaskedLM and AutoTokenizer "
      "load: model.safetensors,\nconfig.json, vocab.txt, tokenizer.json, tokenizer_config.json, and "
      "README.md with the lines that score a pair.");
  line.required("--run", "DIR", "the folder of the run, or a model file of it (DIR/models/epoch-0007.npz)",
                run);
  line.required("--output", "DIR", "the folder to be written", output);
  if (!line.parse(argc, argv)) return 0;
  const ModelSource source = find_model(run);
  TrainedModel model(source);
  const bool card = export_model(output, model.bert, model.vocabulary, model.options, source.threshold);
  fmt::print("{}: {:.1f} M parameters, {} tokens written to {}{}\n", io::printable(run),
             double(model.bert.store.real_size()) * 1e-6, model.vocabulary.size(), io::printable(output),
             card ? "" : "; its README.md is not of export and stays");
  return 0;
}
