#include "memory.h"

#include <sys/mman.h>

#include <stdexcept>
#include <string>

#include "pool.h"

namespace simt {

char* map_memory(size_t bytes, const char* who, size_t bytes_per_thread) {
  void* const memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
  if (memory == MAP_FAILED)
    throw std::runtime_error("out of memory: " + std::string(who) + " needs " +
                             std::to_string(bytes_per_thread >> 20) + " MiB of address space for each of " +
                             std::to_string(workers()) +
                             " threads; set run.threads to fewer, or raise the limit (ulimit -v)");
  return static_cast<char*>(memory);
}

void require_memory(size_t bytes, const char* who, size_t bytes_per_thread) {
  munmap(map_memory(bytes, who, bytes_per_thread), bytes);
}

}  // namespace simt
