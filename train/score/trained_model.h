// A trained model for scoring and export.
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/device.h"
#include "model/bert.h"
#include "train/config/options.h"
#include "train/data/vocabulary.h"
#include "train/weights/pretrained.h"
#include "train/weights/resolve.h"

namespace warpbert {

// A model whose weights are not read yet.
struct ModelSource {
  std::string path;                     // as given
  std::string weights;                  // best.npz, a model file, or model.safetensors
  std::string vocab;                    // of an exported folder; "": in the weights
  Options options;                      // with the overrides
  std::string gemm = "";                // the run's gemm.txt
  std::vector<std::string> files = {};  // all of these, and the options' file
  // Score of highest F1 on the validation rows, if known.
  std::optional<double> threshold = {};
};

// Resolves `path`:
//   a folder with config.ini      a finished run: its best.npz
//   a folder that export wrote    config.json, model.safetensors, vocab.txt or tokenizer.json
//   a model file of a run         RUN/models/epoch-0007.npz; config.ini is beside it or in the folder above
// Throws io::Error naming what is missing.
ModelSource find_model(const std::string& path, const std::vector<Override>& overrides = {});

// Reads an exported vocab.txt: seven special tokens, then an id per line, for plain text a token per line.
// Throws io::Error for other content.
Vocabulary read_exported_vocabulary(const std::string& path, const DataOptions& data = {});

// Needs options.data.text. Throws io::Error if the file has no vocabulary.
TextVocabulary read_text_vocabulary(const ModelSource& source);

struct TrainedModel {
  explicit TrainedModel(const ModelSource& source);  // reads the weights
  std::unique_ptr<Pretrained> file;
  const ResolvedOptions options;
  std::unique_ptr<Device> device;
  Vocabulary vocabulary;
  Bert bert;
};

}  // namespace warpbert
