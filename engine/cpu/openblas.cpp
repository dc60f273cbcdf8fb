#include "engine/cpu/openblas.h"

#include <dlfcn.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <stdexcept>
#include <vector>

#include "simt/cpu/memory.h"

namespace warpbert {
namespace {

constexpr size_t buffer_bytes = size_t(32) << 22;  // OpenBLAS's BUFFER_SIZE

// OpenBLAS's allocator retries forever, or ends the process, when the system refuses. Asks first.
void require_buffer(size_t more = 0) { simt::require_memory(buffer_bytes + more, "OpenBLAS", buffer_bytes); }

template <class Function>
Function* symbol(void* library, const char* name) {
  return reinterpret_cast<Function*>(dlsym(library, name));
}

OpenBlas load(int threads) {
  constexpr size_t library_bytes = size_t(64) << 20;  // text and data: 36 MiB (0.3.21) to 50 MiB
  require_buffer(library_bytes);
  // Our workers are the only threads: its own would allocate buffers in vain.
  setenv("OPENBLAS_NUM_THREADS", "1", 1);
  void* const library = dlopen("libopenblas.so.0", RTLD_NOW | RTLD_LOCAL);
  if (!library)
    throw std::runtime_error(fmt::format("OpenBLAS cannot be loaded: {}; install libopenblas0", dlerror()));
  const OpenBlas blas{symbol<decltype(cblas_sgemm)>(library, "cblas_sgemm")};
  if (!blas.sgemm)
    throw std::runtime_error(fmt::format("OpenBLAS has no CBLAS: {}; install libopenblas0", dlerror()));
  if (auto* set_threads = symbol<void(int)>(library, "openblas_set_num_threads")) set_threads(1);

  auto* const allocate = symbol<void*(int)>(library, "blas_memory_alloc");
  auto* const release = symbol<void(void*)>(library, "blas_memory_free");
  if (!allocate || !release) return blas;
  std::vector<void*> buffers;
  for (int i = 0; i < std::min(threads, 128); i++) {  // beyond, OpenBLAS prints a warning
    require_buffer();
    buffers.push_back(allocate(0));
  }
  for (void* buffer : buffers) release(buffer);
  return blas;
}

}  // namespace

const OpenBlas& load_openblas(int threads) {
  static const OpenBlas blas = load(threads);
  return blas;
}

}  // namespace warpbert
