// Address space, which a limit (ulimit -v) may refuse.
#pragma once
#include <cstddef>

namespace simt {

// Maps zeroed memory. Throws std::runtime_error if the system refuses: `who` needs `bytes_per_thread` for
// each worker.
char* map_memory(size_t bytes, const char* who, size_t bytes_per_thread);

// Throws like map_memory unless `bytes` could be mapped. For libraries that crash, hang or end the process if
// they get no memory.
void require_memory(size_t bytes, const char* who, size_t bytes_per_thread);

}  // namespace simt
