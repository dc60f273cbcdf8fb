// What a run reads before anything is built: weights and options, then data.
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

// The opened weights and the options that they resolve.
struct RunSetup {
  // Prints the warnings of resolve_run(). Throws io::Error for damaged weights, and UsageError for options
  // that contradict each other, the weights or this build.
  explicit RunSetup(const Options& typed, int saved_shards = 0);

  std::unique_ptr<Pretrained> weights;  // null without model.weights
  ResolvedOptions options;
};

struct RunData {
  Dataset set;
  Vocabulary vocabulary;
  TokenPairs tokens;
  DatasetStatistics statistics;
  std::vector<int> embedding_rows;  // of the weights, for each token; {}: all, in order
  uint64_t data_hash;               // of all pairs, and the training and validation labels
  uint64_t start_hash;              // of these, the vocabulary, and the rows that align it to the weights
  uint64_t weights_hash;            // of the values of model.weights; 0 without them
  std::string summary;              // lines for standard output
  std::vector<std::string> warnings;
};

// Reads vocabulary and data, and prints nothing. Throws io::Error and UsageError if they do not fit the
// options or the weights.
RunData read_run_data(const RunSetup& setup);

std::string hash_text(uint64_t hash);  // 16 hexadecimal digits

}  // namespace warpbert
