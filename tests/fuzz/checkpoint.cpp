// The state in a checkpoint: members of an .npz (arrays.h).
#include "train/run/checkpoint.h"
#include "arrays.h"
#include "io/npz.h"

using namespace warpbert;
using namespace warpbert::fuzz;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string path = folder() / "50.npz";
  if (write_archive(path, text_of(data, size)))
    accepts(path, [&] { read_checkpoint_state(*io::open_npz(path)); });
  return 0;
}
