#pragma once
#include <string>

namespace warpbert {

// Processors that affinity and the container's CPU quota leave, at least 1.
int available_processors();

// Processors that cpu.max of cgroup v2 leaves to `group` ("/a/b") and its ancestors, rounded up; 0 without a
// quota. `root`: mount point.
int quota_processors(const std::string& root, std::string group);

}  // namespace warpbert
