// Input of a run, read before anything is built: weights and options, then data.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "train/config/options.h"
#include "train/data/dataset.h"
#include "train/data/vocabulary.h"
#include "train/weights/pretrained.h"
#include "train/weights/resolve.h"

namespace warpbert {

struct RunSetup {
  // Prints the warnings of resolve_run(). Throws io::Error for damaged weights, UsageError for contradictory
  // options.
  explicit RunSetup(const Options& typed, int saved_shards = 0);

  std::unique_ptr<Pretrained> weights;  // null without model.weights
  ResolvedOptions options;
};

struct RunData {
  Dataset set;
  Vocabulary vocabulary;
  TokenPairs tokens;
  DatasetStatistics statistics;
  std::vector<int> embedding_rows;  // of the weights, per token; {}: all, in order
  uint64_t data_hash;               // pairs, training and validation labels
  uint64_t start_hash;              // data_hash, vocabulary and aligned rows
  uint64_t weights_hash;            // of model.weights; 0 without
  std::string summary;              // for standard output
  std::vector<std::string> warnings;
};

// Prints nothing. Throws io::Error and UsageError if vocabulary or data do not fit options or weights.
RunData read_run_data(const RunSetup& setup);

std::string hash_text(uint64_t hash);  // 16 hexadecimal digits

}  // namespace warpbert
