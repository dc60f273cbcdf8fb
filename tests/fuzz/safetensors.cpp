// A .safetensors file; or, of an input that begins with '{', a file with its first line as header and the
// rest as values.
#include "io/safetensors.h"

#include "arrays.h"

using namespace warpbert;
using namespace warpbert::fuzz;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string file(text_of(data, size));
  if (file.starts_with('{')) {
    const size_t end = file.find('\n');
    if (end == file.npos) return 0;
    const uint64_t length = end;
    file.erase(end, 1);
    file.insert(0, reinterpret_cast<const char*>(&length), 8);
  }
  const std::string path = write("in.safetensors", file), again = folder() / "again.safetensors";
  accepts(path, [&] { io::open_archive(path); });
  accepts(path, [&] {
    const auto archive = io::open_safetensors(path);
    const Contents all = read_all(*archive);
    io::write_safetensors(again, all.views);
    require_equal(*io::open_safetensors(again), all);
  });
  return 0;
}
