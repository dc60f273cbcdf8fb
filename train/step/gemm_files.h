// Files of a GPU's algorithm cache (engine/algorithm_cache.h): a run's gemm.txt, so that a resumed run has
// the same bits, and the user's run.gemm_cache, so that each GEMM is autotuned once.
#pragma once
#include <string>

#include "engine/device.h"

namespace warpbert {

// $XDG_CACHE_HOME/warpbert/gemm.txt, else ~/.cache/warpbert/gemm.txt; "" without a home.
std::string default_gemm_cache();

// Cache key of a GPU: its name and library versions, on one line.
std::string gemm_environment(const Device& device);

// Adds the choices of `environment` from a GemmCache file, if it exists. Warns on stderr of a damaged file.
void read_algorithm_cache(AlgorithmCache& choices, const std::string& path, const std::string& environment);

class GemmFiles {
 public:
  // Reads both files; the run's choices win. Warns if the run's file has other environments' choices only.
  // `cache` may be "".
  GemmFiles(AlgorithmCache& choices, std::string environment, std::string run_file, std::string cache);

  // Writes new choices to both files. Throws io::Error if the run's cannot be written; warns once if the
  // cache cannot.
  void save();

 private:
  void save_cache();
  AlgorithmCache& choices_;
  std::string environment_, run_file_, cache_;
  GemmCache run_;     // other environments included
  size_t saved_ = 0;  // number of this environment's choices in run_
};

}  // namespace warpbert
