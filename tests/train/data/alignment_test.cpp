#include "train/data/alignment.h"

#include <doctest/doctest.h>

#include "io/error.h"
#include "io/npz.h"
#include "io/wordpiece.h"
#include "tests/support/golden.h"
#include "tests/support/temporary.h"

using namespace warpbert;
using namespace warpbert::test;

static const std::string golden = golden_folder() + "/tiny/";

TEST_CASE("alignment: the reference's rows, on the reference's files") {
  const auto vocab = io::read_vocab(golden + "vocab.txt");
  const auto counts = read_counts(golden + "counts.json");
  const auto expected = io::open_npz(golden + "golden.npz")->load<int32_t>("vocab/keep_tokens");
  CHECK(aligned_rows(vocab, counts, 130, "vocab.txt") == std::vector<int>(expected.begin(), expected.end()));
}

TEST_CASE("alignment: falling count, equal counts by id, [CLS] and [SEP] count nothing, no count is 0") {
  const std::vector<std::string> vocab = {"[PAD]", "a", "[SEP]", "b", "c", "d", "[CLS]"};
  const TokenCounts counts = {{"b", 5},      {"c", 9},      {"a", 5},
                              {"[CLS]", 99}, {"[SEP]", 98}, {"elsewhere", 1000}};
  CHECK(ranked_ids(vocab, counts) == std::vector<int>{4, 1, 3, 0, 2, 5, 6});
  CHECK(counted_tokens(vocab, counts) == 3);
  CHECK(counted_tokens(vocab, {{"a", 0}, {"elsewhere", 3}}) == 0);
}

TEST_CASE("alignment: special tokens are found by name") {
  const std::vector<std::string> vocab = {"x", "[MASK]", "[UNK]", "[SEP]", "[CLS]", "[PAD]"};
  CHECK(aligned_rows(vocab, {{"x", 1}}, 1, "v") == std::vector<int>{5, 2, 4, 3, 1, 2, 2, 0});
}

TEST_CASE("alignment: what cannot be aligned is refused") {
  const std::vector<std::string> vocab = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "x"},
                                 bare = {"[PAD]", "x"};
  CHECK(message_of<io::Error>([&] { aligned_rows(vocab, {}, 7, "v.txt"); }) ==
        "v.txt: 6 tokens, but the data has 7 ids to align; raise data.min_count");
  CHECK(message_of<io::Error>([&] { aligned_rows(bare, {}, 1, "v.txt"); }) == "v.txt: has no token [UNK]");
}

TEST_CASE("counts.json: tokens in any spelling of JSON, and what is none") {
  TemporaryFolder folder;
  const auto counts = read_counts(folder.write("c.json", R"({"\u4f60": 3, "\ud83d\ude00": 2, "a\"": 0})"));
  CHECK(counts.size() == 3);
  CHECK(counts.at("\xe4\xbd\xa0") == 3);
  CHECK(counts.at("\xf0\x9f\x98\x80") == 2);
  const auto refused = [&](const char* text) {
    const std::string path = folder.write("counts.json", text);
    return message_of<io::Error>([&] { read_counts(path); }).substr(path.size());
  };
  CHECK(refused("[1]") == ": an object {\"token\": count, …} was expected");
  CHECK(refused("{\"a\": 1.5}") == ": the count of 'a' is no non-negative integer");
  CHECK(refused("{\"a\": -1}") == ": the count of 'a' is no non-negative integer");
  CHECK(refused("{\"a\": ").starts_with(": no JSON: "));
  CHECK(refused("{\"a\": 1e999}").starts_with(": no JSON: "));  // more than a double holds
}
