// An .npz as it is: the zip archive.
#include "arrays.h"

using namespace warpbert;
using namespace warpbert::fuzz;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string path = write("in.npz", text_of(data, size)), again = folder() / "again.npz";
  accepts(path, [&] { io::open_archive(path); });
  accepts(path, [&] {
    const auto archive = io::open_npz(path);
    const Contents all = read_all(*archive);
    for (const io::ArrayView& view : all.views)
      if (view.dtype == io::DType::bf16) return;  // write_npz refuses it
    if (accepts(again, [&] { io::write_npz(again, all.views); })) require_equal(*io::open_npz(again), all);
  });
  return 0;
}
