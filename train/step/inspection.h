// The microscope: what a model makes of given batches, as arrays for comparison with NumPy, PyTorch or TensorFlow.
#pragma once
#include <string>

#include "train/config/options.h"

namespace warpbert {

// Reads the batches of `batch_path` (an .npz: tokens_k and targets_k [B, T] int32, k = 0 …; 0 is padding, or no target;
// tokens are the model's, after alignment) and writes to `output_path`, all fp32, dropout off:
//
//   loss          [1]        mean cross-entropy over all targets of batch 0 with the starting weights
//   logits        [M, V]     at the targets of batch 0, row by row
//   hidden        [B, T, H]  of the last layer, batch 0; zeros at padding
//   grad/<name>   of loss, every parameter under its canonical name and shape
// and with steps = K > 0:
//   losses        [K]        of batch k, before its update
//   param/<name>  after K Adam steps at train.lr over batches 0 … K − 1
//
// Throws io::Error naming file and array for a batch that does not fit the model.
void inspect(Options options, const std::string& batch_path, const std::string& output_path, int steps);

}  // namespace warpbert
