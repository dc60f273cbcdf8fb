// Turns a run's options into data, a device, and a model with its initial weights.
#pragma once
#include <memory>

#include "engine/adam.h"
#include "engine/device.h"
#include "model/bert.h"
#include "train/config/options.h"
#include "train/data/dataset.h"
#include "train/data/vocabulary.h"
#include "train/weights/pretrained.h"
#include "train/weights/resolve.h"

namespace warpbert {

// Opens run.device; throws std::runtime_error if this build lacks it.
std::unique_ptr<Device> open_device(const RunOptions& options);

// Model configuration for a vocabulary of this size. Throws UsageError for unsupported settings.
BertConfig bert_config(const ModelOptions& options, int vocabulary);

AdamOptions adam_options(const TrainOptions& options);

// "bf16 with fp32 master weights", "fp32" or "tf32"
const char* precision_text(Precision precision);

std::string hash_text(uint64_t hash);  // 16 hexadecimal digits

// A run's data and initial model. Reads the weights, what they need, then the data, so that errors name the
// first cause.
class Session {
 public:
  // Opens the weights, if any, resolves open options, and prints the warnings of that.
  explicit Session(const Options& typed, int saved_shards = 0);
  // Reads the data, silently; load() does so too.
  void read_data();
  // Reads the data, opens the device, builds the model, prints a summary.
  void load();

  const ResolvedOptions& options() const { return options_; }
  const Dataset& set() const { return set_; }
  const Vocabulary& vocabulary() const { return *vocabulary_; }
  const TokenPairs& tokens() const { return tokens_; }
  const DatasetStatistics& statistics() const { return statistics_; }
  uint64_t data_hash() const;   // of all pairs, and the training and validation labels
  uint64_t start_hash() const;  // of these, the vocabulary, and the rows that align it to the weights
  // Hash of the values of model.weights; 0 without them, and before read_data().
  uint64_t weights_hash() const { return weights_hash_; }
  Device& device() { return *device_; }
  Bert& bert() { return *bert_; }

 private:
  void check_rows(size_t tokens) const;
  void read_text_vocabulary();
  void print_data() const;
  void print_classes() const;
  void warn_of_rows() const;
  std::vector<int> first_rows();

  std::unique_ptr<Pretrained> pretrained_;  // null without model.weights, and once load() has read them
  const ResolvedOptions options_;
  uint64_t weights_hash_ = 0;
  bool aligned_ = false;             // the ids are aligned to the rows of a plain-text model
  std::vector<int> embedding_rows_;  // to these, once load() has read them
  Dataset set_;
  std::optional<Vocabulary> vocabulary_;
  TokenPairs tokens_;
  DatasetStatistics statistics_;
  std::unique_ptr<Device> device_;
  std::unique_ptr<Bert> bert_;
};

}  // namespace warpbert
