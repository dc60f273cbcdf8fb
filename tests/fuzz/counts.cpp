// counts.json. Written again it reads the same.
#include <nlohmann/json.hpp>
#include <set>

#include "fuzz.h"
#include "train/data/alignment.h"

using namespace warpbert;
using namespace warpbert::fuzz;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string path = write("counts.json", text_of(data, size));
  TokenCounts counts;
  if (!accepts(path, [&] { counts = read_counts(path); })) return 0;
  require(read_counts(write("again.json", nlohmann::json(counts).dump())) == counts,
          "counts that were written again read otherwise");
  std::vector<std::string> vocab = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"};
  for (const auto& [token, count] : counts) {
    require(count >= 0, "a count is negative");
    vocab.push_back(token);
  }
  const std::vector<int> ranked = ranked_ids(vocab, counts);
  const std::set<int> distinct(ranked.begin(), ranked.end());
  require(ranked.size() == vocab.size() && distinct.size() == vocab.size(), "an id has no rank, or two");
  return 0;
}
