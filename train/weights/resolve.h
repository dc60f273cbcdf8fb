// Resolution of open options. Options stay as typed; what is built of them takes ResolvedOptions.
#pragma once
#include <string>
#include <vector>

#include "pretrained.h"
#include "train/config/options.h"

namespace warpbert {

// Options without open values (0: from the weights). Constant wherever they are kept.
struct ResolvedOptions : Options {
  int real_rows = 0;                  // of the weights' word embedding, without padding; 0: unknown
  std::vector<std::string> warnings;  // not printed yet
};

// Fills in model.*: shapes from the weights, then heads and ε from model.config, `__meta__`, or a
// (bert_)config.json beside the weights. `weights` may be null. Throws io::Error.
ResolvedOptions resolve_model(const Options& typed, const Pretrained* weights);

// Also fills in what training needs: model.weights, data.vocab from the folder of the weights, and
// train.shards (`saved_shards`, else one for each process). Throws UsageError and io::Error if options
// contradict each other or the weights.
ResolvedOptions resolve_run(const Options& typed, const Pretrained* weights, int saved_shards = 0);

}  // namespace warpbert
