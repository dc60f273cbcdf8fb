// A trained model, for scoring and export: of a run, or of a folder that export wrote.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "engine/device.h"
#include "model/bert.h"
#include "train/config/options.h"
#include "train/data/vocabulary.h"
#include "train/weights/pretrained.h"

namespace warpbert {

// Where a model is, and the options it is used with; its weights are not read yet.
struct ModelSource {
  std::string path;                     // as the user gave it
  std::string weights;                  // best.npz, a model file, or model.safetensors
  std::string vocab;                    // vocab.txt of a folder that export wrote; "": the vocabulary is in the weights
  Options options;                      // the run's, or the defaults for such a folder; with the overrides
  std::string gemm = "";                // gemm.txt of the run, if it has one
  std::vector<std::string> files = {};  // all of these, and where the options are from
};

// What `path` means:
//   a folder with config.ini             a finished run: its best.npz
//   a folder that export wrote           config.json, model.safetensors, vocab.txt
//   a file of a run, such as RUN/models/epoch-0007.npz: that model; config.ini is beside it or in the folder above
// Throws io::Error naming what is missing.
ModelSource find_model(const std::string& path, const std::vector<Override>& overrides = {});

// The vocabulary of a vocab.txt that export wrote: the seven special tokens, then an id a line, or of a model of clear
// text (data.text, data.lowercase) a token. io::Error otherwise.
Vocabulary read_exported_vocabulary(const std::string& path, const DataOptions& data = {});

// What a model of clear text (options.data.text) cuts it by. io::Error when its file does not say.
TextVocabulary read_text_vocabulary(const ModelSource& source);

struct TrainedModel {
  explicit TrainedModel(const ModelSource& source);  // reads the weights
  Options options;
  std::unique_ptr<Device> device;
  std::unique_ptr<Pretrained> file;
  Vocabulary vocabulary;
  Bert bert;
};

}  // namespace warpbert
