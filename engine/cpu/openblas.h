// OpenBLAS, loaded at the first product. Linked, it would allocate 128 MiB before main(), and some versions
// (0.3.29) retry forever where a limit of address space (ulimit -v) refuses them.
#pragma once
#include <cblas.h>

namespace warpbert {

struct OpenBlas {
  decltype(&cblas_sgemm) sgemm = nullptr;
};

// Loads OpenBLAS, with one thread of its own, and lets it allocate its buffer for each of `threads` callers.
// Later calls return the same. Throws std::runtime_error if it cannot be loaded, or if the system refuses the
// memory.
const OpenBlas& load_openblas(int threads);

}  // namespace warpbert
