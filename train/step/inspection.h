// Outputs of a model for given batches, to compare with other implementations.
#pragma once
#include <string>

#include "train/config/options.h"

namespace warpbert {

// Writes these arrays for the batches of `batch_path` (batch_file.h), all fp32, dropout off:
//
//   loss          [1]        mean cross-entropy over all targets of batch 0, with the initial weights
//   logits        [M, V]     at the targets of batch 0, in row order
//   hidden        [B, T, H]  last layer, batch 0; zeros at padding
//   grad/<name>   gradient of loss, by canonical name
// and with steps = K > 0:
//   losses        [K]        loss of batch k before its update
//   param/<name>  weights after K Adam steps at train.lr over batches 0 … K − 1
//
// Throws io::Error naming file and array if a batch does not fit the model.
void inspect(Options options, const std::string& batch_path, const std::string& output_path, int steps);

}  // namespace warpbert
