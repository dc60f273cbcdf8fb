// Detection of finished runs, which have nothing left to do.
#pragma once
#include <optional>

#include "run_directory.h"
#include "train/step/run_data.h"

namespace warpbert {

struct Completion {
  int epochs;
  bool stopped_early;
};

// Returns nullopt if epochs or results are missing, and resuming makes them. Throws DataChanged if the run
// was started with other data. Checkpoints may have been removed to save room; throws io::Error if something
// is missing that only they could restore.
std::optional<Completion> completion(const RunDirectory& directory, const Options& options,
                                     const RunData& data);

}  // namespace warpbert
