// The .index.json of several .safetensors; two such files are there.
#include "arrays.h"
#include "io/safetensors.h"

using namespace warpbert;
using namespace warpbert::fuzz;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const bool shards_are_there = [] {
    const std::vector<float> values = {1, 2, 3};
    for (const char* shard : {"one", "two"})
      io::write_safetensors(folder() / shard + ".safetensors",
                            std::vector{io::view(shard, {3}, values), io::view("both", {1, 3}, values)});
    return true;
  }();
  require(shards_are_there, "no shards");
  const std::string path = write("in.index.json", text_of(data, size));
  accepts(path, [&] {
    const auto archive = io::open_sharded(path);
    if (archive) read_all(*archive);
  });
  return 0;
}
