// State that the halves of the fake CUDA runtime share: runtime.cpp and memory.cpp.
#pragma once
#include <mutex>
#include <vector>

#include "send.h"

namespace runtime {

extern std::recursive_mutex mutex;
using Lock = std::lock_guard<std::recursive_mutex>;

// Device memory is accessible while one is alive.
class OpenMemory {
 public:
  OpenMemory();
  ~OpenMemory();
  OpenMemory(const OpenMemory&) = delete;
};

cudaError_t result(cudaError_t e);      // keeps an error for cudaGetLastError
cudaError_t invalidate(cudaError_t e);  // the same, and invalidates the capture, if there is one
bool is_captured(const CUstream_st* stream);

// Errors of a call that CUDA forbids on the capturing thread (cudaStreamCaptureModeThreadLocal; invalidates
// the capture), and of a call on a stream whose capture is invalidated; else cudaSuccess.
cudaError_t forbidden_in_capture();
cudaError_t invalidated(const CUstream_st* stream);

// Runs pending work: these nodes and what they depend on, or everything.
void run_all_before(std::vector<int> last);
void run_everything();

}  // namespace runtime
