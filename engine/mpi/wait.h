#pragma once
#include <mpi.h>

#include <vector>

#include "engine/process_group.h"

namespace warpbert {

// Blocks until all requests are done; adds the time to `seconds`. Throws std::runtime_error after `limit`
// seconds (0: never), naming the silent ranks.
void wait(const ProcessGroup& group, std::vector<MPI_Request> requests, int limit, double& seconds);

// 32-bit words: a count, an int, covers 8 GiB.
const MPI_Datatype word = MPI_INT32_T;
inline int words(size_t bytes) { return int(bytes / 4); }

// Throws std::runtime_error if the connection between devices has failed.
void check_devices();

}  // namespace warpbert
