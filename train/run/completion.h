// Detection of finished runs.
#pragma once
#include <optional>

#include "run_directory.h"
#include "train/step/run_data.h"

namespace warpbert {

struct Completion {
  int epochs;
  bool stopped_early;
};

// nullopt: epochs or results are missing, and resuming makes them. Throws DataChanged for other data,
// io::Error if only removed checkpoints could restore what is missing.
std::optional<Completion> completion(const RunDirectory& directory, const Options& options,
                                     const RunData& data);

}  // namespace warpbert
