// Batches in files: an .npz of tokens_k and targets_k [B, T] int32, k = 0 …; 0 is padding or no target.
#pragma once
#include "io/array.h"
#include "model/bert.h"
#include "train/data/batch.h"

namespace warpbert {

struct PaddedBatch {
  int sequences, length;
  std::vector<int32_t> tokens;  // [sequences, length]
  Batch packed;
};

// Reads batch k. Throws io::Error naming file and array if it does not fit the model.
PaddedBatch read_batch(io::Archive& archive, int k, const BertConfig& config);

}  // namespace warpbert
