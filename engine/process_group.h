// The processes of one training: ranks 0 … size − 1, started by mpirun or srun. One process without a
// launcher. engine/mpi/ has the real one, engine/single/ that of a build without MPI.
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
  std::string name() const;  // "rank 2 of 4 on host", "" for one process
  // Calls below throw std::runtime_error after waiting so long for other ranks; 0: never.
  void set_wait_limit(int seconds) { wait_limit_ = seconds; }
  double waited() const { return waited_; }  // seconds in these calls, with the time of the exchange itself

  // ---- Host memory. Every rank calls them, in the same order.
  uint32_t any(uint32_t flags);                              // bitwise or
  std::string broadcast(const std::string& text);            // rank 0's
  std::vector<std::string> gather(const std::string& text);  // everybody's, by rank
  // Ends the processes of all ranks.
  [[noreturn]] void abort(int code);

  // ---- Device memory, in stream order; not captured in graphs. Sizes and bounds in bytes, multiples of 4.
  struct Transfer {
    int peer;
    void* data;
    size_t bytes;
  };
  // Between two ranks, the k-th transfer sent is the k-th received.
  void exchange(kernels::Stream stream, std::vector<Transfer> send, std::vector<Transfer> receive);
  // Rank r has [bounds[r], bounds[r + 1]) of data; afterwards everybody has all.
  void all_gather(kernels::Stream stream, void* data, std::vector<size_t> bounds);
  void all_reduce_min(kernels::Stream stream, int* value);

 private:
  ProcessGroup();
  ~ProcessGroup();
  int rank_ = 0, size_ = 1, wait_limit_ = 0;
  double waited_ = 0;
  std::string host_;
};

}  // namespace warpbert
