// Named ranges of the host's work, for Nsight Systems: domain "warpbert", one colour a category. Without the tool, or
// without a GPU, a range costs a few instructions. A step that is replayed as a graph shows no ranges inside: set
// run.graphs = false to see them.
#pragma once
#include <cstdint>

namespace warpbert {

enum class Category { data = 1, forward, backward, optimizer, evaluation, io };

// From here to the end of the scope. `name` must be a literal: it is registered once, by its address.
class Range {
 public:
  Range(const char* name, Category category, int64_t payload = 0);
  ~Range();
  Range(const Range&) = delete;
};

// Names the calling thread in the profile.
void name_thread(const char* name);

// The window that `nsys profile --capture-range=cudaProfilerApi` records. Waits for the device first, so that what was
// sent before is outside. Nothing happens without a GPU.
void profiler_start();
void profiler_stop();

}  // namespace warpbert
