// Waiting for MPI, used by the files of this folder.
#pragma once
#include <mpi.h>

#include <vector>

#include "engine/process_group.h"

namespace warpbert {

// Waits until all requests are done, in turns with other processes of this machine. Adds the time to
// `seconds`. Throws std::runtime_error after `limit` seconds (0: never), naming the ranks that do not answer.
void wait(const ProcessGroup& group, std::vector<MPI_Request> requests, int limit, double& seconds);

// Values are sent as 32-bit words, so that a count, an int, covers 8 GiB.
const MPI_Datatype word = MPI_INT32_T;
inline int words(size_t bytes) { return int(bytes / 4); }

// Called while waiting: throws std::runtime_error if the connection between devices has failed.
void check_devices();

}  // namespace warpbert
