#include "train/data/dataset.h"

#include <doctest/doctest.h>

#include <numeric>

#include "tests/support/pairs.h"

using namespace warpbert;
using namespace warpbert::test;

static Ids numbered(int n, int64_t first) {
  Ids ids(size_t(n), 0);
  std::iota(ids.begin(), ids.end(), first);
  return ids;
}

static Ids sentence(std::span<const int64_t> ids) { return {ids.begin(), ids.end()}; }

TEST_CASE("truncate: the longer sentence loses its end, the first one when they are equal") {
  struct Case {
    int a, b, limit, kept_a, kept_b;
  };
  const Case cases[] = {{20, 20, 32, 16, 16}, {5, 29, 32, 5, 27},   {29, 5, 32, 27, 5},  {16, 16, 32, 16, 16},
                        {17, 16, 32, 16, 16}, {16, 17, 32, 16, 16}, {10, 10, 19, 9, 10}, {10, 10, 17, 8, 9},
                        {11, 9, 18, 9, 9},    {1, 60, 32, 1, 31},   {60, 1, 32, 31, 1},  {40, 50, 2, 1, 1},
                        {40, 50, 3, 1, 2},    {1, 1, 2, 1, 1},      {3, 2, 100, 3, 2}};
  for (const Case& c : cases) {
    CAPTURE(c.a);
    CAPTURE(c.b);
    CAPTURE(c.limit);
    io::Pairs pairs;  // the tested row between two short ones
    add(pairs, {7}, {8}, 1);
    add(pairs, numbered(c.a, 100), numbered(c.b, 200), 0);
    add(pairs, {9}, {10});
    CHECK(truncate(pairs, c.limit) == (c.a + c.b > c.limit));
    REQUIRE(pairs.size() == 3);
    CHECK(sentence(pairs.a(0)) == Ids{7});
    CHECK(sentence(pairs.b(0)) == Ids{8});
    CHECK(sentence(pairs.a(1)) == numbered(c.kept_a, 100));
    CHECK(sentence(pairs.b(1)) == numbered(c.kept_b, 200));
    CHECK(sentence(pairs.a(2)) == Ids{9});
    CHECK(sentence(pairs.b(2)) == Ids{10});
    CHECK(pairs.ids.size() == size_t(c.kept_a + c.kept_b + 4));
  }
}

TEST_CASE("truncate: equals popping one id at a time from random rows") {
  for (int limit : {2, 3, 8, 17, 40}) {
    const io::Pairs original = random_pairs(300, 50, 20, 1);
    io::Pairs pairs = original;
    int truncated = 0;
    for (size_t row = 0; row < original.size(); row++)
      truncated += int(original.a(row).size() + original.b(row).size()) > limit;
    CHECK(truncate(pairs, limit) == truncated);
    CHECK(pairs.labels == original.labels);
    int wrong = 0;
    for (size_t row = 0; row < original.size(); row++) {
      Ids a = sentence(original.a(row)), b = sentence(original.b(row));
      while (int(a.size() + b.size()) > limit) (b.size() > a.size() ? b : a).pop_back();
      wrong += sentence(pairs.a(row)) != a || sentence(pairs.b(row)) != b;
    }
    CHECK(wrong == 0);
  }
}

TEST_CASE("truncate: a limit that would empty a sentence is refused") {
  io::Pairs pairs = random_pairs(3, 10, 4, 1);
  CHECK_THROWS_AS(truncate(pairs, 1), std::invalid_argument);
}

TEST_CASE("dataset: rows and lengths of the golden fixture") {
  const Dataset data = make_dataset(golden_pairs("pairs.tsv"), golden_pairs("test.tsv"), 32, 10);
  CHECK(data.train_rows == 200);
  CHECK(data.truncated == 13);  // 10 from pairs.tsv, 3 from test.tsv
  REQUIRE(data.pairs.size() == 260);
  std::ifstream file = open_golden("rows.txt");
  for (size_t row = 0; row < 260; row++) {
    size_t a, b;
    int label;
    file >> a >> b >> label;
    Ids ids(a + b), tokens(a + b);
    for (int64_t& id : ids) file >> id;
    for (int64_t& token : tokens) file >> token;
    REQUIRE(file);
    CAPTURE(row);
    REQUIRE(data.pairs.a(row).size() == a);
    REQUIRE(data.pairs.b(row).size() == b);
    CHECK(Ids(&data.pairs.ids[data.pairs.starts[2 * row]],
              &data.pairs.ids[data.pairs.starts[2 * row]] + a + b) == ids);
    CHECK(data.pairs.labels[row] == (label == -5 ? io::no_label : float(label)));
  }
}

// One pair per label, one id per sentence.
static io::Pairs with_labels(const std::vector<float>& labels) {
  io::Pairs pairs;
  for (float label : labels) add(pairs, {1}, {2}, label);
  return pairs;
}

static std::vector<int> rows(const std::vector<Example>& examples) {
  std::vector<int> rows;
  for (const Example& example : examples) rows.push_back(example.row);
  return rows;
}

static std::vector<float> labels(const std::vector<Example>& examples) {
  std::vector<float> labels;
  for (const Example& example : examples) labels.push_back(example.label);
  return labels;
}

TEST_CASE("dataset: who trains with a label, who without, who is for validation") {
  const float none = io::no_label;
  const io::Pairs train = with_labels({1, 0, none, none, 0.25f, 1, 1, 0}), test = with_labels({none, 1});
  const Dataset data = make_dataset(train, test, 32, 3);  // validation rows: 0, 3 (unlabelled), 6
  CHECK(rows(data.training) == std::vector{1, 2, 4, 5, 7, 0, 3, 6, 8, 9});
  CHECK(labels(data.training) == std::vector{0.f, none, 0.25f, 1.f, 0.f, none, none, none, none, none});
  CHECK(rows(data.validation) == std::vector{0, 6});
  CHECK(labels(data.validation) == std::vector{1.f, 1.f});
  CHECK(rows(data.test) == std::vector{8, 9});
  CHECK(labels(data.test) == std::vector{none, 1.f});
}

TEST_CASE("dataset: without validation or test rows") {
  const io::Pairs train = with_labels({1, 0, 1});
  const Dataset data = make_dataset(train, {}, 32, 0);
  CHECK(rows(data.training) == std::vector{0, 1, 2});
  CHECK(labels(data.training) == train.labels);
  CHECK(data.validation.empty());
  CHECK(data.test.empty());
  CHECK(rows(make_dataset(train, {}, 32, 1).validation) == std::vector{0, 1, 2});
  CHECK_THROWS_AS(make_dataset(train, {}, 32, -1), std::invalid_argument);
  CHECK(rows(make_dataset(train, {}, 32, 2, 1).validation) == std::vector{1});
  CHECK(rows(all_examples(train)) == std::vector{0, 1, 2});
  CHECK(labels(all_examples(train)) == train.labels);
}
