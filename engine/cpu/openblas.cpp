#include "engine/cpu/openblas.h"

#include <dlfcn.h>
#include <fmt/format.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <stdexcept>
#include <vector>

namespace warpbert {
namespace {

constexpr size_t buffer_bytes = size_t(32) << 22;  // OpenBLAS's BUFFER_SIZE

// OpenBLAS's allocator retries forever, or ends the process, when the system refuses. Asks first.
void require_address_space(size_t bytes, int threads) {
  void* const probe = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (probe == MAP_FAILED)
    throw std::runtime_error(fmt::format(
        "out of memory: OpenBLAS needs {} MiB of address space for each of {} threads; set run.threads "
        "to fewer, or raise the limit (ulimit -v)",
        buffer_bytes >> 20, threads));
  munmap(probe, bytes);
}

template <class Function>
Function* symbol(void* library, const char* name) {
  return reinterpret_cast<Function*>(dlsym(library, name));
}

OpenBlas load(int threads) {
  constexpr size_t library_bytes = size_t(64) << 20;  // text and data: 36 MiB (0.3.21) to 50 MiB
  require_address_space(library_bytes + buffer_bytes, threads);
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
    require_address_space(buffer_bytes, threads);
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
