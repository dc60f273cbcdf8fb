// The processes of one program: ranks 0 … size − 1, started by mpirun or srun. One process without a
// launcher.
//
// engine/mpi/ sends host memory by MPI. Device memory goes by MPI in the simulator, by NCCL between GPUs.
// engine/single/ is for a build without MPI.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "kernels/kernels.h"

namespace warpbert {

class ProcessGroup {
 public:
  // The first call joins the launcher's processes; from the main thread. Throws std::runtime_error if a
  // launcher started several and this build has no MPI.
  static ProcessGroup& world();
  static ProcessGroup* joined();  // null before the first call of world()

  int rank() const { return rank_; }
  int size() const { return size_; }
  bool is_root() const { return rank_ == 0; }
  int local_rank() const { return local_rank_; }  // among those of this host; chooses the GPU
  std::string name() const { return name(rank_); }
  std::string name(int rank) const;  // "rank 2 of 4 on host"; "" for one process
  // Calls below throw std::runtime_error after waiting so long for other ranks; 0: never.
  void set_wait_limit(int seconds) { wait_limit_ = seconds; }
  double waited() const { return waited_; }  // seconds in these calls, with the time of the exchange itself

  // ---- Host memory. Every rank calls them, in the same order.
  uint32_t any(uint32_t flags);                              // bitwise or
  std::string broadcast(const std::string& text);            // rank 0's
  std::vector<std::string> gather(const std::string& text);  // everybody's, by rank
  // Ends the processes of all ranks.
  [[noreturn]] void abort(int code);

  // ---- Device memory, in stream order; may be captured in graphs. Every rank sends the same calls in the
  // same order; a captured call serves one that is not. Sizes in bytes, multiples of 4.
  // Joins the devices, once, after each rank has opened its own. Throws std::runtime_error if two have one.
  void connect();
  struct Transfer {
    int rank;
    void* data;
    size_t bytes;
  };
  // Sends to ranks, and receives from ranks. Between two ranks, the k-th transfer sent is the k-th received.
  void exchange(kernels::Stream stream, std::vector<Transfer> send, std::vector<Transfer> receive);
  // Sends each part from the rank that has it to all others.
  void all_gather(kernels::Stream stream, std::vector<Transfer> parts);
  void all_reduce_min(kernels::Stream stream, int* value);

 private:
  ProcessGroup();
  ~ProcessGroup();
  int rank_ = 0, size_ = 1, local_rank_ = 0, wait_limit_ = 0;
  double waited_ = 0;
  std::vector<std::string> hosts_;  // by rank
};

}  // namespace warpbert
