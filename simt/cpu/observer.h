// Hook on what the threads of a block do besides loads and stores, for traces (study/). Costs one comparison
// per call when unset.
#pragma once
#include <cstddef>

namespace simt {

// Called on the OS thread that runs the block; `current` and blockIdx name the CUDA thread.
class BlockObserver {
 public:
  virtual void barrier(const char* file, int line) = 0;  // __syncthreads reached
  // A warp collective reached: `arg` holds the lane's operands. Later, once for all lanes of the mask:
  // results are in args[lane], or for matrix operations in the Warp.
  virtual void collective(unsigned mask, const char* what, const char* file, int line, const void* arg) = 0;
  virtual void collective_done(unsigned mask, const char* what, const void* const* args) = 0;
  virtual void shared_variable(const void* memory, size_t bytes, const char* file, int line) = 0;
  virtual void async_copy(const void* to, const void* from) = 0;
  virtual void async_commit() = 0;
  virtual void async_waited(int pending) = 0;  // all groups except the newest `pending` have arrived

 protected:
  ~BlockObserver() = default;
};

inline BlockObserver* block_observer = nullptr;

}  // namespace simt
