// Resolution of open options.
#pragma once
#include <string>
#include <vector>

#include "pretrained.h"
#include "train/config/options.h"

namespace warpbert {

// Options without open values (0: from the weights).
struct ResolvedOptions : Options {
  int real_rows = 0;                  // of the word embedding, without padding; 0: unknown
  std::vector<std::string> warnings;  // not printed yet
};

// Fills in model.*: shapes from the weights; heads and ε from model.config, `__meta__`, or (bert_)config.json
// beside the weights. `weights` may be null. Throws io::Error.
ResolvedOptions resolve_model(const Options& typed, const Pretrained* weights);

// Also fills in model.weights, data.vocab from the weights' folder, and train.shards (`saved_shards`, else
// the number of processes). Throws UsageError and io::Error for contradictions.
ResolvedOptions resolve_run(const Options& typed, const Pretrained* weights, int saved_shards = 0);

}  // namespace warpbert
