// Disk space of a run, checked before its first step.
#pragma once
#include "train/step/session.h"

namespace warpbert {

// Bytes.
struct FileSizes {
  double checkpoint = 0, model = 0;
};
FileSizes file_sizes(Bert& bert);

// Most bytes of checkpoints and models at once. A file is written beside the one that it replaces.
double most_bytes(const Options& options, const FileSizes& sizes, double steps_per_epoch);

// Throws io::Error unless run.directory, which need not exist yet, has room for the run, and ulimit -f
// permits such files. Existing files of the run count as room.
void check_disk_space(Session& session);

}  // namespace warpbert
