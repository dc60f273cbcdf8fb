#include <fmt/format.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>

#include <fstream>
#include <thread>

#include "report.h"
#include "train/config/build_info.h"

namespace warpbert {

// Value of the first line `key … : value` (/proc/cpuinfo) or `key="value"` (/etc/os-release), or "".
static std::string look_up(const char* path, const std::string& key, char separator) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    const size_t at = line.find(separator);
    if (line.rfind(key, 0) != 0 || at == line.npos) continue;
    const size_t first = line.find_first_not_of(" \"", at + 1), last = line.find_last_not_of(" \"");
    return first == line.npos ? "" : line.substr(first, last - first + 1);
  }
  return "";
}

std::vector<Fact> environment(const std::string& device) {
  std::vector<Fact> rows;
  if (!device.empty()) rows.emplace_back("Device", device);
  if (const std::string name = look_up("/proc/cpuinfo", "model name", ':'); !name.empty())
    rows.emplace_back("Processor", fmt::format("{}, {} cores", name, std::thread::hardware_concurrency()));
  else rows.emplace_back("Processor cores", fmt::format("{}", std::thread::hardware_concurrency()));
  struct sysinfo memory;
  if (sysinfo(&memory) == 0)
    rows.emplace_back("Memory",
                      fmt::format("{:.1f} GiB", double(memory.totalram) * memory.mem_unit / (1 << 30)));
  struct utsname kernel;
  const std::string system = look_up("/etc/os-release", "PRETTY_NAME", '=');
  if (uname(&kernel) == 0)
    rows.emplace_back("System", fmt::format("{}{}{} {}", system, system.empty() ? "" : ", ", kernel.sysname,
                                            kernel.release));
  rows.emplace_back("Build", build_info());
  return rows;
}

}  // namespace warpbert
