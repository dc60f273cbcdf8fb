// A batch in a file: members of an .npz (arrays.h).
#include "train/step/batch_file.h"
#include "arrays.h"

using namespace warpbert;
using namespace warpbert::fuzz;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string path = folder() / "batches.npz";
  if (!write_archive(path, text_of(data, size))) return 0;
  BertConfig config;
  config.vocabulary = 100, config.max_positions = 64;
  accepts(path, [&] {
    const auto archive = io::open_npz(path);
    const PaddedBatch padded = read_batch(*archive, 0, config);
    const Batch& batch = padded.packed;
    require(padded.tokens.size() == size_t(padded.sequences) * size_t(padded.length),
            "a batch has other tokens");
    require(batch.sequences == padded.sequences && batch.starts.at(size_t(batch.sequences)) == batch.tokens,
            "sequences do not cover the tokens");
    int tokens = 0;
    for (int s = 0; s < padded.sequences; s++)
      for (int t = 0; t < padded.length; t++)
        if (const int32_t token = padded.tokens[size_t(s) * size_t(padded.length) + size_t(t)])
          require(batch.ids.at(size_t(tokens++)) == token, "a token is packed at the wrong place");
    require(tokens == batch.tokens, "padding is packed");
    for (int t = 0; t < batch.targets; t++)
      require(batch.target_index.at(size_t(t)) >= 0 && batch.target_index[size_t(t)] < batch.tokens,
              "a target is at no token");
  });
  return 0;
}
