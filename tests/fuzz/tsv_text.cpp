// Pairs of plain text, tokenized by WordPiece.
#include "io/wordpiece.h"
#include "pairs.h"

using namespace warpbert;
using namespace warpbert::fuzz;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const std::vector<std::string> vocab = {
      "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "b", "c",  "##a", "##b", "##cd",
      "ab",    "i",     "é",     "中",    "##中",   ".", ",", "\"", "1",   "##1", "σ"};
  static io::WordPiece cased(vocab, "vocab", false), lower(vocab, "vocab", true);
  const std::string_view text = text_of(data, size);
  for (io::WordPiece* tokenizer : {&cased, &lower})
    if (const auto pairs = read_in_all_ways(text, 1 + size % 7, tokenizer))
      for (const int64_t id : pairs->ids)
        require(id < int64_t(vocab.size()), "a token is not in the vocabulary");
  return 0;
}
