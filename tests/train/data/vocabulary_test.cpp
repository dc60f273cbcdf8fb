#include "train/data/vocabulary.h"

#include <doctest/doctest.h>

#include <algorithm>

#include "io/error.h"
#include "io/npz.h"
#include "tests/support/pairs.h"
#include "tests/support/temporary.h"
#include "train/data/alignment.h"

using namespace warpbert;
using namespace warpbert::test;

TEST_CASE("vocabulary: ids, order and tokens of the golden fixture") {
  const Dataset data = make_dataset(golden_pairs("pairs.tsv"), golden_pairs("test.tsv"), 32, 10);
  const Vocabulary vocabulary(data.pairs, 5);
  CHECK(vocabulary.size() == 137);

  Ids ids;
  std::ifstream words = open_golden("vocabulary.txt");
  for (int64_t id, count; words >> id >> count;) ids.push_back(id);
  CHECK(vocabulary.dataset_ids() == ids);

  const TokenPairs encoded = vocabulary.encode(data.pairs);
  REQUIRE(encoded.size() == 260);
  std::ifstream rows = open_golden("rows.txt");
  for (int row = 0; row < 260; row++) {
    size_t a, b;
    int label;
    rows >> a >> b >> label;
    for (size_t i = 0, id; i < a + b; i++) rows >> id;
    std::vector<int32_t> tokens(a + b);
    for (int32_t& token : tokens) rows >> token;
    REQUIRE(rows);
    CAPTURE(row);
    REQUIRE(encoded.a(row).size() == a);
    REQUIRE(encoded.b(row).size() == b);
    CHECK(std::equal(tokens.begin(), tokens.begin() + int(a), encoded.a(row).begin()));
    CHECK(std::equal(tokens.begin() + int(a), tokens.end(), encoded.b(row).begin()));
  }
}

TEST_CASE("vocabulary: falling counts, ties by first appearance, a before b, from min_count on") {
  io::Pairs pairs;
  add(pairs, {50, 9, 9}, {7, 3000000000});  // id: count = 50: 2, 9: 3, 7: 3, 3000000000: 2, 8: 1
  add(pairs, {7, 8}, {50, 3000000000, 9, 7});
  CHECK(Vocabulary(pairs, 1).dataset_ids() == Ids{9, 7, 50, 3000000000, 8});
  CHECK(Vocabulary(pairs, 2).dataset_ids() == Ids{9, 7, 50, 3000000000});
  CHECK(Vocabulary(pairs, 3).dataset_ids() == Ids{9, 7});
  CHECK_THROWS_WITH_AS(Vocabulary(pairs, 4),
                       "no id of the data occurs data.min_count (= 4) times, so no vocabulary can be made; "
                       "lower data.min_count",
                       io::Error);
  const Vocabulary vocabulary(pairs, 2);
  CHECK(vocabulary.size() == 11);
  CHECK(vocabulary.token(9) == 7);
  CHECK(vocabulary.token(3000000000) == 10);
  CHECK(vocabulary.token(8) == token::unknown);
  CHECK(vocabulary.token(12345) == token::unknown);
}

TEST_CASE("vocabulary: made again from its stored ids") {
  const io::Pairs pairs = random_pairs(200, 60, 12, 3);
  const Vocabulary counted(pairs, 8), stored(counted.dataset_ids());
  CHECK(stored.size() == counted.size());
  CHECK(stored.encode(pairs).tokens == counted.encode(pairs).tokens);
  CHECK(stored.encode(pairs).starts == pairs.starts);
  CHECK_THROWS_WITH_AS(Vocabulary(Ids{4, 2, 4}), "vocabulary: id 4 twice", std::invalid_argument);
  CHECK_THROWS_WITH_AS(Vocabulary(Ids{4, -2}), "vocabulary: negative id -2", std::invalid_argument);
}

TEST_CASE("vocabulary: statistics about the data") {
  io::Pairs pairs;  // 100 rows, lengths 1 + 1 … 1 + 100: a unique id, then id 5 repeated
  for (int row = 0; row < 100; row++)
    add(pairs, {1000 + row}, Ids(size_t(row + 1), 5), row % 4 ? io::no_label : 1);
  const DatasetStatistics statistics = describe(pairs, Vocabulary(pairs, 2));
  CHECK(statistics.rows == 100);
  CHECK(statistics.words == 5150);
  CHECK(statistics.unknown_share == 100 / 5150.);
  CHECK(statistics.distinct == 101);
  CHECK(statistics.dropped == 100);
  CHECK(statistics.mean_length == 54.5);
  CHECK(statistics.p50 == 54);
  CHECK(statistics.p99 == 103);
  CHECK(statistics.longest == 104);
  std::vector<long> one_each(105, 1);  // lengths 5 … 104
  std::fill_n(one_each.begin(), 5, 0);
  CHECK(statistics.lengths == one_each);
  CHECK(describe({}, Vocabulary(Ids{1})).rows == 0);

  io::Pairs one;
  add(one, {1}, {2, 3});
  const DatasetStatistics single = describe(one, Vocabulary(Ids{1, 2, 3, 4}));
  CHECK(single.unknown_share == 0);
  CHECK(single.dropped == 0);
  CHECK(single.p50 == 6);
  CHECK(single.longest == 6);
}

TEST_CASE("vocabulary: plain text keeps all words in order, and special tokens are the model's own") {
  const std::vector<std::string> tokens = {"a",     "[MASK]", "[NO]",  "[UNK]", "b",
                                           "[SEP]", "[PAD]",  "[CLS]", "##c"};
  const Vocabulary vocabulary(TextVocabulary{tokens, false}, "v.txt");
  CHECK(vocabulary.dataset_ids() == Ids{0, 4, 8});
  CHECK(vocabulary.size() == 10);
  const std::vector<int> expected = {
      7, token::mask, token::unknown, token::unknown, 8, token::sep, token::pad, token::cls, 9};
  for (size_t id = 0; id < tokens.size(); id++) CHECK(vocabulary.token(int64_t(id)) == expected[id]);
  CHECK(text_rows(vocabulary) ==
        std::vector<int>{6, 3, 7, 5, 1, 2, 3, 0, 4, 8});  // [NO] is in the vocabulary; [YES] maps to [UNK]
  CHECK(vocabulary != Vocabulary(TextVocabulary{tokens, true}, "v.txt"));
  CHECK(message_of<io::Error>([] {
          Vocabulary(TextVocabulary{{"[PAD]", "a"}, true}, "v.txt");
        }) == "v.txt lacks [UNK], [CLS], [SEP], [MASK]: it is no BERT vocabulary");
}

TEST_CASE("vocabulary: of plain text, in a model file and back") {
  const TemporaryFolder folder;
  const std::string path = folder / "v.npz", text = path + ": vocab/wordpiece";
  const TextVocabulary words{{"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "\xe7\x87\x88", "##c"}, false};
  const Vocabulary vocabulary(words, "v.txt");
  const VocabularyArrays arrays(vocabulary);
  io::write_npz(path, arrays.views());
  const auto again = load_vocabulary(*io::open_npz(path));
  REQUIRE(again);
  CHECK(*again == vocabulary);
  CHECK(*again->text() == words);

  const auto refused = [&](size_t damaged, const auto& values) {
    auto views = arrays.views();
    views[damaged] = io::view(views[damaged].name, {int64_t(values.size())}, values);
    io::write_npz(path, views);
    return message_of<io::Error>([&] { load_vocabulary(*io::open_npz(path)); });
  };
  CHECK(refused(0, Ids{5, 7}) == text + " does not fit vocab/cipher_ids");
  CHECK(refused(1, std::vector<uint8_t>{'a', '\n'}).starts_with(text + " lacks [PAD], [UNK]"));
  CHECK(refused(2, std::vector<uint8_t>{1, 1}) == path + ": vocab/lowercase has 2 values, not 1");
}
