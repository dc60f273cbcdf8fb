#include "processors.h"

#include <sched.h>

#include <algorithm>
#include <fstream>
#include <thread>

namespace warpbert {

int quota_processors(const std::string& root, std::string group) {
  int least = 0;
  for (;;) {
    // "<quota> <period>" in µs, or "max <period>"
    std::ifstream file(root + group + "/cpu.max");
    double quota, period;
    if (file >> quota >> period && quota > 0 && period > 0) {
      const int processors = int(std::min((quota + period - 1) / period, 1e6));
      least = least ? std::min(least, processors) : processors;
    }
    const size_t slash = group.rfind('/');
    if (slash == group.npos) return least;
    group.resize(slash);
  }
}

// From the line "0::/a/b" of /proc/self/cgroup.
static std::string own_group() {
  std::ifstream file("/proc/self/cgroup");
  for (std::string line; std::getline(file, line);)
    if (line.starts_with("0::/")) return line.substr(3);
  return "/";
}

int available_processors() {
  int n = int(std::max(1u, std::thread::hardware_concurrency()));
  cpu_set_t allowed;
  if (sched_getaffinity(0, sizeof allowed, &allowed) == 0) n = std::min(n, CPU_COUNT(&allowed));
  const int quota = quota_processors("/sys/fs/cgroup", own_group());
  return std::max(1, quota ? std::min(n, quota) : n);
}

}  // namespace warpbert
