// NVTX ranges for Nsight Systems. Graph launches hide them: set run.graphs = false.
#pragma once
#include <cstdint>

namespace warpbert {

enum class Category { data = 1, forward, backward, optimizer, evaluation, io };

// `name` must be a literal: it is registered once, by address.
class Range {
 public:
  Range(const char* name, Category category, int64_t payload = 0);
  ~Range();
  Range(const Range&) = delete;
};

void name_thread(const char* name);

// Window of `nsys profile --capture-range=cudaProfilerApi`. Both synchronize first.
void profiler_start();
void profiler_stop();

}  // namespace warpbert
