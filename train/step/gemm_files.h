// The files that remember which algorithms a GPU's matrix products take (engine/gemm_choices.h): gemm.txt of a run, so
// that the run goes on with the same bits, and one of the machine's, run.gemm_cache, so that a product is timed once.
#pragma once
#include <string>

#include "engine/device.h"

namespace warpbert {

// $XDG_CACHE_HOME/warpbert/gemm.txt, else ~/.cache/warpbert/gemm.txt; "" where there is no home.
std::string default_gemm_cache();

// What a GPU's choices depend on, in a line: its name and the versions of its libraries.
std::string gemm_machine(const Device& device);

// What `machine` chose before, from a file of GemmCache; nothing if there is no file. A damaged one is ignored with a
// warning on stderr.
void read_gemm_choices(GemmChoices& choices, const std::string& path, const std::string& machine);

class GemmFiles {
 public:
  // Reads both files, first the run's: what is in both is taken from there. Warns when the run's holds another
  // machine's choices alone. `cache` may be "".
  GemmFiles(GemmChoices& choices, std::string machine, std::string run_file, std::string cache);

  // Writes both files if something was chosen since they were read or written; cheap if not. Throws io::Error when the
  // run's cannot be written; warns, once, when the cache cannot.
  void save();

 private:
  void save_cache();
  GemmChoices& choices_;
  std::string machine_, run_file_, cache_;
  GemmCache run_;     // the run's file: of other machines too, should the run go back to one of them
  size_t saved_ = 0;  // choices of this machine in it
};

}  // namespace warpbert
