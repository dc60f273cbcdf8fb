// Ranks of one program, started by mpirun or srun. Host memory is sent by MPI; device memory by MPI in the
// simulator, by NCCL between GPUs.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "kernels/kernels.h"

namespace warpbert {

class ProcessGroup {
 public:
  // The first call, on the main thread, joins the launcher's processes. Throws std::runtime_error if several
  // were started and this build has no MPI.
  static ProcessGroup& world();
  static ProcessGroup* joined();  // null before the first call of world()

  int rank() const { return rank_; }
  int size() const { return size_; }
  bool is_root() const { return rank_ == 0; }
  int local_rank() const { return local_rank_; }  // on this host; chooses the GPU
  std::string name() const { return name(rank_); }
  std::string name(int rank) const;  // "rank 2 of 4 on host"; "" for one process
  // Calls below throw std::runtime_error after waiting so long for other ranks; 0: never.
  void set_wait_limit(int seconds) { wait_limit_ = seconds; }
  double waited() const { return waited_; }  // seconds in these calls, including the exchange itself

  // ---- Host memory. Every rank calls them, in the same order.
  uint32_t any(uint32_t flags);                              // bitwise or
  std::string broadcast(const std::string& text);            // rank 0's
  std::vector<std::string> gather(const std::string& text);  // by rank
  [[noreturn]] void abort(int code);                         // ends all ranks

  // ---- Device memory, in stream order; capturable. Sizes in bytes, multiples of 4. Every rank makes the
  // same calls in the same order, captured or not.
  // Call it once, after all ranks opened their devices. Throws std::runtime_error if two ranks share one.
  void connect();
  struct Transfer {
    int rank;
    void* data;
    size_t bytes;
  };
  // Between two ranks, the k-th transfer sent is the k-th received.
  void exchange(kernels::Stream stream, std::vector<Transfer> send, std::vector<Transfer> receive);
  // Sends each part from its rank to all others.
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
