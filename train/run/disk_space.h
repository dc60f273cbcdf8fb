// Disk space of a run, checked before its first step.
#pragma once
#include "train/step/session.h"

namespace warpbert {

// Bytes of a run's large files.
struct FileSizes {
  double checkpoint = 0, model = 0;
};
FileSizes file_sizes(Bert& bert);

// Most bytes that checkpoints and models take at once, by run.keep_checkpoints and run.keep_best. A file is
// written beside the one that it replaces.
double most_bytes(const Options& options, const FileSizes& sizes, double steps_per_epoch);

// Throws io::Error unless the file system of run.directory, which need not exist yet, has room for the run,
// and the process may write files of that size (ulimit -f). Existing files of the run count as room.
void check_disk_space(Session& session);

}  // namespace warpbert
