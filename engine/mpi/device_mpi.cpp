// MPI reads the simulator's device memory like any other.
#include <mpi.h>

#include <utility>

#include "engine/process_group.h"
#include "simt/cpu/stream.h"
#include "wait.h"

namespace warpbert {

void check_devices() {}

void ProcessGroup::connect() {}

void ProcessGroup::exchange(kernels::Stream stream, std::vector<Transfer> send,
                            std::vector<Transfer> receive) {
  if (size_ == 1) return;
  simt::enqueue(stream, [this, send = std::move(send), receive = std::move(receive)] {
    std::vector<MPI_Request> requests(send.size() + receive.size());
    MPI_Request* next = requests.data();
    for (const Transfer& t : receive)
      MPI_Irecv(t.data, words(t.bytes), word, t.rank, 0, MPI_COMM_WORLD, next++);
    for (const Transfer& t : send) MPI_Isend(t.data, words(t.bytes), word, t.rank, 0, MPI_COMM_WORLD, next++);
    wait(*this, std::move(requests), wait_limit_, waited_);
  });
}

void ProcessGroup::all_gather(kernels::Stream stream, std::vector<Transfer> parts) {
  if (size_ == 1) return;
  simt::enqueue(stream, [this, parts = std::move(parts)] {
    std::vector<MPI_Request> requests(parts.size());
    MPI_Request* next = requests.data();
    for (const Transfer& t : parts) MPI_Ibcast(t.data, words(t.bytes), word, t.rank, MPI_COMM_WORLD, next++);
    wait(*this, std::move(requests), wait_limit_, waited_);
  });
}

void ProcessGroup::all_reduce_min(kernels::Stream stream, int* value) {
  if (size_ == 1) return;
  simt::enqueue(stream, [=, this] {
    MPI_Request request;
    MPI_Iallreduce(MPI_IN_PLACE, value, 1, MPI_INT, MPI_MIN, MPI_COMM_WORLD, &request);
    wait(*this, {request}, wait_limit_, waited_);
  });
}

}  // namespace warpbert
