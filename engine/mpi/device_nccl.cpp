#include <fmt/format.h>

#include <array>
#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <string>

#include "engine/cuda/check.h"
#include "engine/process_group.h"
#include "nccl.h"
#include "wait.h"

namespace warpbert {
namespace {

ncclComm_t communicator = nullptr;  // ends with the process

void check(ncclResult_t result, const char* what) {
  if (result != ncclSuccess)
    throw std::runtime_error(fmt::format("{}: {}", what, load_nccl().error_string(result)));
}

template <class F>
void group(F calls) {
  const Nccl& nccl = load_nccl();
  check(nccl.group_start(), "ncclGroupStart");
  calls(nccl);
  check(nccl.group_end(), "sending between GPUs by NCCL");
}

}  // namespace

void check_devices() {
  if (!communicator) return;
  ncclResult_t state = ncclSuccess;
  check(load_nccl().async_error(communicator, &state), "ncclCommGetAsyncError");
  if (state != ncclSuccess && state != ncclInProgress) check(state, "between GPUs");
}

void ProcessGroup::connect() {
  // WARPBERT_NCCL sends by NCCL even in one process, to test it on a machine with one GPU.
  if (communicator || (size_ == 1 && !std::getenv("WARPBERT_NCCL"))) return;
  int device = 0;
  check(cudaGetDevice(&device), "cudaGetDevice");
  std::array<char, 32> bus{};
  check(cudaDeviceGetPCIBusId(bus.data(), int(bus.size()), device), "cudaDeviceGetPCIBusId");
  const std::string host = hosts_.empty() ? "" : hosts_[size_t(rank_)];
  const std::vector<std::string> all = gather(host + " " + bus.data());
  for (int a = 0; a < size_; a++)
    for (int b = a + 1; b < size_; b++)
      if (all[size_t(a)] == all[size_t(b)])
        throw std::runtime_error(
            fmt::format("ranks {} and {} share one GPU of {}; start at most one process for each GPU", a, b,
                        hosts_[size_t(a)]));
  const Nccl& nccl = load_nccl();
  ncclUniqueId id{};
  if (is_root()) check(nccl.unique_id(&id), "ncclGetUniqueId");
  const std::string bytes = broadcast({reinterpret_cast<const char*>(&id), sizeof id});
  std::memcpy(&id, bytes.data(), sizeof id);
  check(nccl.init(&communicator, size_, id, rank_), "connecting the GPUs by NCCL");
}

void ProcessGroup::exchange(kernels::Stream stream, std::vector<Transfer> send,
                            std::vector<Transfer> receive) {
  if (!communicator) return;
  group([&](const Nccl& nccl) {
    for (const Transfer& t : receive)
      check(nccl.receive(t.data, t.bytes / 4, ncclInt32, t.rank, communicator, stream), "ncclRecv");
    for (const Transfer& t : send)
      check(nccl.send(t.data, t.bytes / 4, ncclInt32, t.rank, communicator, stream), "ncclSend");
  });
}

// NCCL's own all-gather takes only equal parts.
void ProcessGroup::all_gather(kernels::Stream stream, std::vector<Transfer> parts) {
  if (!communicator) return;
  group([&](const Nccl& nccl) {
    for (const Transfer& t : parts)
      check(nccl.broadcast(t.data, t.data, t.bytes / 4, ncclInt32, t.rank, communicator, stream),
            "ncclBroadcast");
  });
}

void ProcessGroup::all_reduce_min(kernels::Stream stream, int* value) {
  if (!communicator) return;
  check(load_nccl().all_reduce(value, value, 1, ncclInt32, ncclMin, communicator, stream), "ncclAllReduce");
}

}  // namespace warpbert
