// Fake NCCL by MPI (../README.md, "Several processes"). A group's calls are one node of their stream and run
// when the host waits for them. The engine polls ncclCommGetAsyncError: it is such a wait.
#include <cuda_runtime_api.h>
#include <mpi.h>
#include <nccl.h>

#include <cstring>
#include <functional>
#include <thread>
#include <utility>
#include <vector>

#include "send.h"

struct ncclComm {
  MPI_Comm group = MPI_COMM_NULL;
  int ranks = 0, rank = 0;
};

namespace {

using Start = std::function<MPI_Request()>;
int depth = 0;  // of groups
std::vector<Start> grouped;
cudaStream_t grouped_stream = nullptr;

void wait(std::vector<MPI_Request> requests) {
  for (int done = 0; !done; std::this_thread::yield())
    MPI_Testall(int(requests.size()), requests.data(), &done, MPI_STATUSES_IGNORE);
}

ncclResult_t flush() {
  if (grouped.empty()) return ncclSuccess;
  if (is_invalidated(grouped_stream)) return grouped.clear(), ncclUnhandledCudaError;
  send(grouped_stream, [calls = std::exchange(grouped, {})] {
    std::vector<MPI_Request> requests;
    for (const Start& start : calls) requests.push_back(start());
    wait(std::move(requests));
  });
  return ncclSuccess;
}

// Words of four bytes on the device, in a stream that all calls of a group share.
ncclResult_t add(const void* data, size_t words, ncclDataType_t type, int peer, ncclComm_t comm,
                 cudaStream_t stream, Start start) {
  if (!comm || type != ncclInt32 || peer < 0 || peer >= comm->ranks || !words ||
      !on_device(data, 4 * words) || !stream || (!grouped.empty() && stream != grouped_stream))
    return ncclInvalidArgument;
  grouped_stream = stream;
  grouped.push_back(std::move(start));
  return depth ? ncclSuccess : flush();
}

}  // namespace

extern "C" {

const char* ncclGetErrorString(ncclResult_t result) {
  return result == ncclInvalidArgument ? "invalid argument"
         : result == ncclSuccess       ? "no error"
                                       : "refused by NCCL without a GPU";
}

ncclResult_t ncclGetUniqueId(ncclUniqueId* id) { return std::memset(id, 0x5a, sizeof *id), ncclSuccess; }

ncclResult_t ncclCommInitRank(ncclComm_t* comm, int ranks, ncclUniqueId id, int rank) {
  ncclUniqueId ours;
  ncclGetUniqueId(&ours);
  int size = 0, own = 0;
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  MPI_Comm_rank(MPI_COMM_WORLD, &own);
  if (std::memcmp(&id, &ours, sizeof id) != 0 || size != ranks || own != rank) return ncclInvalidArgument;
  *comm = new ncclComm{MPI_COMM_NULL, ranks, rank};
  MPI_Comm_dup(MPI_COMM_WORLD, &(*comm)->group);
  return ncclSuccess;
}

ncclResult_t ncclCommGetAsyncError(ncclComm_t, ncclResult_t* state) {
  *state = cudaDeviceSynchronize() == cudaSuccess ? ncclSuccess : ncclUnhandledCudaError;
  return ncclSuccess;
}

ncclResult_t ncclGroupStart() { return depth++, ncclSuccess; }
ncclResult_t ncclGroupEnd() {
  if (!depth) return ncclInvalidUsage;
  return --depth ? ncclSuccess : flush();
}

ncclResult_t ncclSend(const void* data, size_t n, ncclDataType_t type, int peer, ncclComm_t comm,
                      cudaStream_t stream) {
  return add(data, n, type, peer, comm, stream, [=] {
    MPI_Request request;
    MPI_Isend(data, int(n), MPI_INT32_T, peer, 0, comm->group, &request);
    return request;
  });
}
ncclResult_t ncclRecv(void* data, size_t n, ncclDataType_t type, int peer, ncclComm_t comm,
                      cudaStream_t stream) {
  return add(data, n, type, peer, comm, stream, [=] {
    MPI_Request request;
    MPI_Irecv(data, int(n), MPI_INT32_T, peer, 0, comm->group, &request);
    return request;
  });
}
ncclResult_t ncclBroadcast(const void* from, void* to, size_t n, ncclDataType_t type, int root,
                           ncclComm_t comm, cudaStream_t stream) {
  if (from != to) return ncclInvalidUsage;  // in place alone
  return add(to, n, type, root, comm, stream, [=] {
    MPI_Request request;
    MPI_Ibcast(to, int(n), MPI_INT32_T, root, comm->group, &request);
    return request;
  });
}
ncclResult_t ncclAllReduce(const void* from, void* to, size_t n, ncclDataType_t type, ncclRedOp_t op,
                           ncclComm_t comm, cudaStream_t stream) {
  if (from != to || op != ncclMin) return ncclInvalidUsage;
  return add(to, n, type, 0, comm, stream, [=] {
    MPI_Request request;
    MPI_Iallreduce(MPI_IN_PLACE, to, int(n), MPI_INT32_T, MPI_MIN, comm->group, &request);
    return request;
  });
}

}  // extern "C"
