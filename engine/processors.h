// Processors of this process: the host's threads are as many.
#pragma once
#include <string>

namespace warpbert {

// Processors that affinity (taskset, batch systems) and the CPU quota of a container leave, at least 1.
int available_processors();

// Processors that the quotas cpu.max of cgroup v2 leave to `group` and all groups around it, rounded up; 0
// without a quota. `root` is where the groups are mounted, `group` is "/", "/a/b", ….
int quota_processors(const std::string& root, std::string group);

}  // namespace warpbert
