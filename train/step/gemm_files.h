// Files of a GPU's algorithm cache (engine/algorithm_cache.h): a run's gemm.txt, for the same bits after
// resuming, and the user's run.gemm_cache, to autotune each GEMM once.
#pragma once
#include <string>

#include "engine/device.h"

namespace warpbert {

// $XDG_CACHE_HOME/warpbert/gemm.txt, else ~/.cache/warpbert/gemm.txt; "" without a home.
std::string default_gemm_cache();

// Cache key: GPU name and library versions, on one line.
std::string gemm_environment(const Device& device);

// Adds the file's choices of `environment`, if it exists. Warns on stderr of a damaged file.
void read_algorithm_cache(AlgorithmCache& choices, const std::string& path, const std::string& environment);

class GemmFiles {
 public:
  // The run's choices win. Warns if its file has other environments' only. `cache` may be "".
  GemmFiles(AlgorithmCache& choices, std::string environment, std::string run_file, std::string cache);

  // Throws io::Error if the run's file cannot be written; warns once if the cache cannot.
  void save();

 private:
  void save_cache();
  AlgorithmCache& choices_;
  std::string environment_, run_file_, cache_;
  GemmCache run_;     // other environments included
  size_t saved_ = 0;  // this environment's choices in run_
};

}  // namespace warpbert
