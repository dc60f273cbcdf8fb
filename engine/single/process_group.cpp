// One process: a build without MPI.
#include "engine/process_group.h"

#include <cstdlib>
#include <stdexcept>

namespace warpbert {

ProcessGroup::ProcessGroup() {
  for (const char* name : {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS"})
    if (const char* size = std::getenv(name); size && std::atoi(size) > 1)
      throw std::runtime_error(std::string("a launcher started ") + size +
                               " processes, and this build runs as one: it is without MPI (docs/scale.md)");
}
ProcessGroup::~ProcessGroup() = default;

std::string ProcessGroup::name(int) const { return ""; }
uint32_t ProcessGroup::any(uint32_t flags) { return flags; }
std::string ProcessGroup::broadcast(const std::string& text) { return text; }
std::vector<std::string> ProcessGroup::gather(const std::string& text) { return {text}; }
void ProcessGroup::abort(int code) { std::_Exit(code); }
void ProcessGroup::connect() {}
void ProcessGroup::exchange(kernels::Stream, std::vector<Transfer>, std::vector<Transfer>) {}
void ProcessGroup::all_gather(kernels::Stream, std::vector<Transfer>) {}
void ProcessGroup::all_reduce_min(kernels::Stream, int*) {}

}  // namespace warpbert
