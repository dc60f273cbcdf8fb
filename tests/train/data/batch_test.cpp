#include "train/data/batch.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <type_traits>

#include "tests/support/pairs.h"
#include "train/data/vocabulary.h"

using namespace warpbert;
using namespace warpbert::test;

namespace {

using Tokens = std::vector<int>;

Tokens sequence(std::span<const int32_t> first, std::span<const int32_t> second) {
  Tokens tokens{token::cls};
  tokens.insert(tokens.end(), first.begin(), first.end());
  tokens.push_back(token::sep);
  tokens.insert(tokens.end(), second.begin(), second.end());
  tokens.push_back(token::sep);
  return tokens;
}

Tokens sequence(const TokenPairs& pairs, int row, bool swap) {
  return swap ? sequence(pairs.b(row), pairs.a(row)) : sequence(pairs.a(row), pairs.b(row));
}

Tokens sequence_of(const Batch& batch, int b) {
  return Tokens(batch.ids.begin() + batch.starts[size_t(b)], batch.ids.begin() + batch.starts[size_t(b) + 1]);
}

bool same(const kernels::Target& x, const kernels::Target& y) {
  return x.token == y.token && x.other == y.other && x.other_weight == y.other_weight && x.group == y.group;
}

bool all_zero(const auto& array, size_t from) {
  using T = std::remove_cvref_t<decltype(array[0])>;
  const T zero{};
  return std::all_of(array.begin() + long(from), array.end(),
                     [&](const T& x) { return std::memcmp(&x, &zero, sizeof(T)) == 0; });
}

// Share of real tokens in the padded batch.
double fill(const Batch& batch) { return double(batch.tokens) / (double(batch.sequences) * batch.longest); }

// Checks the invariants of every batch.
void check_layout(const Batch& batch, int room) {
  const size_t B = size_t(batch.sequences), N = size_t(batch.tokens), M = size_t(batch.targets);
  REQUIRE(batch.ids.size() == size_t(token_capacity(batch.tokens)));
  REQUIRE(batch.positions.size() == batch.ids.size());
  REQUIRE(batch.order.size() == batch.ids.size());
  REQUIRE(batch.target_index.size() == size_t(target_capacity(batch.targets)));
  REQUIRE(batch.target.size() == batch.target_index.size());
  REQUIRE(batch.starts.size() == size_t(room) + 1);
  REQUIRE(batch.rows.size() == B);

  CHECK(batch.starts[0] == 0);
  int longest = 0, wrong = 0;
  for (size_t b = 0; b < B; b++) {
    longest = std::max(longest, batch.starts[b + 1] - batch.starts[b]);
    for (int i = batch.starts[b]; i < batch.starts[b + 1]; i++)
      wrong += batch.positions[size_t(i)] != i - batch.starts[b];
  }
  CHECK(wrong == 0);
  CHECK(batch.longest == longest);
  CHECK(fill(batch) == double(N) / double(B * size_t(longest)));
  for (size_t b = B; b < batch.starts.size(); b++) CHECK(batch.starts[b] == batch.tokens);

  std::vector<bool> seen(N);
  for (size_t i = 0; i < N; i++) {
    const int row = batch.order[i];
    REQUIRE((row >= 0 && row < batch.tokens));
    seen[size_t(row)] = true;
    if (i == 0) continue;
    const int before = batch.order[i - 1];
    const int id = batch.ids[size_t(row)], id_before = batch.ids[size_t(before)];
    wrong += !(id_before < id || (id_before == id && before < row));
  }
  CHECK(wrong == 0);
  CHECK(std::count(seen.begin(), seen.end(), true) == long(N));

  for (size_t m = 1; m < M; m++) wrong += batch.target_index[m - 1] >= batch.target_index[m];
  CHECK(wrong == 0);
  if (M) CHECK((batch.target_index[0] >= 0 && batch.target_index[M - 1] < batch.tokens));

  CHECK(all_zero(batch.ids, N));
  CHECK(all_zero(batch.positions, N));
  CHECK(all_zero(batch.order, N));
  CHECK(all_zero(batch.target_index, M));
  CHECK(all_zero(batch.target, M));
}

struct RandomData {
  io::Pairs pairs;
  Vocabulary vocabulary;
  TokenPairs tokens;
  RandomData(int rows, int longest, unsigned seed)
      : pairs(random_pairs(rows, 100, longest, seed)),
        vocabulary(pairs, 4),
        tokens(vocabulary.encode(pairs)) {}
};

}  // namespace

TEST_CASE("batch: a training batch holds its pairs, swapped and masked, and what they are to predict") {
  for (unsigned seed = 0; seed < 30; seed++) {
    const RandomData data(200, seed % 3 ? 16 : 60, seed);
    const MaskOptions options{.probability = seed % 5 ? 0.15 : 0.9};
    const MaskOptions spans{.probability = 0.3, .ngram = {0.3, 0.3, 0.4}};
    const Masking masking(seed % 4 == 3 ? spans : options, data.vocabulary.size(), seed);
    std::vector<Example> examples = all_examples(data.pairs);
    std::shuffle(examples.begin(), examples.end(), std::mt19937(seed));
    examples.resize(1 + seed * 7 % 130);
    const Batch batch = training_batch(data.tokens, examples, masking, seed, 130);

    CAPTURE(seed);
    REQUIRE(batch.sequences == int(examples.size()));
    check_layout(batch, 130);
    size_t m = 0;
    for (int b = 0; b < batch.sequences; b++) {
      const int row = examples[size_t(b)].row;
      const float label = examples[size_t(b)].label;
      CAPTURE(row);
      CHECK(batch.rows[size_t(b)] == row);

      const size_t a_size = data.tokens.a(row).size(), size = a_size + data.tokens.b(row).size();
      std::vector<int32_t> words(data.tokens.a(row).begin(), data.tokens.a(row).end()), targets(size);
      words.insert(words.end(), data.tokens.b(row).begin(), data.tokens.b(row).end());
      masking.mask(words, targets, a_size, seed, uint32_t(row));
      const bool swap = masking.swaps(seed, uint32_t(row));
      const auto arranged = [&](const std::vector<int32_t>& v) {
        const std::span<const int32_t> all(v), a = all.first(a_size), b = all.subspan(a_size);
        return swap ? sequence(b, a) : sequence(a, b);
      };
      const Tokens expected = arranged(words);
      Tokens predict = arranged(targets);  // includes [CLS] and [SEP], reset below
      predict[0] = predict.back() = predict[1 + (swap ? size - a_size : a_size)] = 0;
      REQUIRE(sequence_of(batch, b) == expected);

      for (size_t i = 0; i < predict.size(); i++) {
        kernels::Target target{predict[i], predict[i], 0, 0};
        if (i == 0 && label != io::no_label) {
          target = label == 0   ? kernels::Target{token::no, token::no, 0, 1}
                   : label == 1 ? kernels::Target{token::yes, token::yes, 0, 1}
                                : kernels::Target{token::no, token::yes, label, 1};
        } else if (!predict[i]) {
          continue;
        }
        REQUIRE(m < size_t(batch.targets));
        CHECK(batch.target_index[m] == batch.starts[size_t(b)] + int(i));
        CHECK(same(batch.target[m], target));
        m++;
      }
    }
    CHECK(m == size_t(batch.targets));
  }
}

TEST_CASE("batch: a pair looks the same in every batch of an epoch, and different in the next") {
  const RandomData data(64, 16, 1);
  const Masking masking({}, data.vocabulary.size(), 5);
  const std::vector<Example> all = all_examples(data.pairs);
  const Batch together = training_batch(data.tokens, all, masking, 3, 64),
              next = training_batch(data.tokens, all, masking, 4, 64);
  CHECK(together.ids != next.ids);
  for (int row = 0; row < 64; row++) {
    const Batch alone = training_batch(data.tokens, std::span(all).subspan(size_t(row), 1), masking, 3, 1);
    CHECK(sequence_of(alone, 0) == sequence_of(together, row));
  }
}

TEST_CASE("batch: an evaluation batch holds its pairs as they are, or swapped, and every [CLS]") {
  const RandomData data(100, 30, 2);
  const std::vector<Example> all = all_examples(data.pairs);
  for (bool swap : {false, true}) {
    for (size_t first : {0, 37}) {
      for (size_t n : {1, 31, 63}) {
        const Batch batch = evaluation_batch(data.tokens, std::span(all).subspan(first, n), 64, swap);
        check_layout(batch, 64);
        REQUIRE(batch.sequences == int(n));
        REQUIRE(batch.targets == int(n));
        CHECK(all_zero(batch.target, 0));
        for (int b = 0; b < int(n); b++) {
          const int row = int(first) + b;
          CHECK(batch.rows[size_t(b)] == row);
          CHECK(batch.target_index[size_t(b)] == batch.starts[size_t(b)]);
          CHECK(sequence_of(batch, b) == sequence(data.tokens, row, swap));
        }
      }
    }
  }
}

TEST_CASE("batch: nothing to predict") {
  const RandomData data(4, 5, 3);
  const std::vector<Example> examples{{2, io::no_label}};
  const Batch batch = training_batch(data.tokens, examples, Masking({.probability = 0}, 9, 1), 0, 8);
  CHECK(batch.targets == 0);
  check_layout(batch, 8);
}

TEST_CASE("batch: the reference's batches are made of the same pairs, labels and fill") {
  const Dataset data = make_dataset(golden_pairs("pairs.tsv"), golden_pairs("test.tsv"), 32, 10);
  const TokenPairs pairs = Vocabulary(data.pairs, 5).encode(data.pairs);
  std::vector<float> labels(data.training.size());  // training label of each row
  for (const Example& example : data.training) labels[size_t(example.row)] = example.label;

  std::ifstream file = open_golden("batches.txt");
  int batches = 0, unlabelled_validation = 0;
  for (int B, T; file >> B >> T; batches++) {
    double fill;
    file >> fill;
    std::vector<int> rows(B), swapped(B);
    std::vector<int32_t> tokens, targets;
    for (int b = 0; b < B; b++) {
      file >> rows[size_t(b)] >> swapped[size_t(b)];
      for (auto* array : {&tokens, &targets}) {
        for (int i = 0, value; i < T && file >> value; i++) array->push_back(value);
      }
    }
    REQUIRE(file);
    const Batch batch = packed_batch(tokens, targets, B, T);
    check_layout(batch, B);
    CHECK(batch.longest == T);
    CHECK(std::abs(::fill(batch) - fill) < 1e-7);  // the fixture stores float

    // Writing the targets back must restore the pairs.
    Batch restored = batch;
    for (size_t m = 0; m < size_t(batch.targets); m++) {
      const kernels::Target& target = batch.target[m];
      const size_t at = size_t(batch.target_index[m]);
      CHECK(target.group == (batch.positions[at] == 0));
      if (target.group == 0) restored.ids[at] = target.token;
    }
    size_t m = 0;
    for (int b = 0; b < B; b++) {
      const int row = rows[size_t(b)];
      CAPTURE(row);
      CHECK(sequence_of(restored, b) == sequence(pairs, row, swapped[size_t(b)]));
      while (m < size_t(batch.targets) && batch.target_index[m] < batch.starts[size_t(b)]) m++;
      const bool labelled = batch.target_index[m] == batch.starts[size_t(b)] && m < size_t(batch.targets);
      const float label = labels[size_t(row)];
      CHECK(labelled == (label != io::no_label));
      if (labelled) CHECK(same(batch.target[m], {5 + int(label), 5 + int(label), 0, 1}));
      unlabelled_validation += row < 200 && row % 10 == 0;
    }
  }
  CHECK(batches == 4);
  CHECK(unlabelled_validation > 0);  // the fixture has validation rows, which train unlabelled
}

TEST_CASE("batch: packed_batch undoes padding and refuses what is no padded batch") {
  const std::vector<int32_t> tokens{2, 9, 3, 8, 3, 2, 4, 3, 0, 0}, targets{5, 0, 0, 8, 0, 0, 9, 0, 0, 0};
  const Batch batch = packed_batch(tokens, targets, 2, 5);
  check_layout(batch, 2);
  CHECK(sequence_of(batch, 0) == Tokens{2, 9, 3, 8, 3});
  CHECK(sequence_of(batch, 1) == Tokens{2, 4, 3});
  REQUIRE(batch.targets == 3);
  CHECK(same(batch.target[0], {5, 5, 0, 1}));
  CHECK(same(batch.target[1], {8, 8, 0, 0}));
  CHECK(same(batch.target[2], {9, 9, 0, 0}));
  CHECK(Tokens(batch.target_index.begin(), batch.target_index.begin() + 3) == Tokens{0, 3, 6});
  CHECK(fill(batch) == 0.8);

  const auto with = [](std::vector<int32_t> values, size_t at, int32_t value) {
    values[at] = value;
    return values;
  };
  CHECK_THROWS_WITH_AS(packed_batch(with(tokens, 9, 3), targets, 2, 5),
                       "batch: row 1 has padding before a token", std::invalid_argument);
  CHECK_THROWS_WITH_AS(packed_batch(tokens, with(targets, 8, 7), 2, 5),
                       "batch: row 1 has a target at padding", std::invalid_argument);
  CHECK_THROWS_WITH_AS(packed_batch(with(tokens, 0, 0), targets, 2, 5),
                       "batch: row 0 has no token at its start", std::invalid_argument);
  CHECK_THROWS_WITH_AS(packed_batch(with(tokens, 1, -1), targets, 2, 5),
                       "batch: row 0 has a negative token or target", std::invalid_argument);
  CHECK_THROWS_WITH_AS(packed_batch(tokens, targets, 5, 3), "batch: tokens and targets are not [5, 3]",
                       std::invalid_argument);
}

TEST_CASE("batch: rows that do not exist and batches that do not fit are refused") {
  const RandomData data(4, 5, 3);
  const Masking masking({}, 9, 1);
  const std::vector<Example> beyond{{4, 1}}, before{{-1, 1}}, two{{0, 1}, {1, 1}};
  CHECK_THROWS_AS(training_batch(data.tokens, beyond, masking, 0, 2), std::out_of_range);
  CHECK_THROWS_AS(evaluation_batch(data.tokens, before, 2), std::out_of_range);
  CHECK_THROWS_WITH_AS(training_batch(data.tokens, two, masking, 0, 1), "batch: 2 sequences, room for 1",
                       std::invalid_argument);
  CHECK_THROWS_AS(evaluation_batch(data.tokens, {}, 2), std::invalid_argument);
}

TEST_CASE("batch: buckets") {
  const int tokens[][2] = {
      {0, 16},      {1, 16},      {16, 16},     {17, 32},     {112, 112},   {113, 128},     {128, 128},
      {129, 256},   {1000, 1024}, {1920, 1920}, {1921, 2048}, {2048, 2048}, {2049, 2304},   {2304, 2304},
      {2305, 2560}, {4096, 4096}, {4097, 4608}, {8192, 8192}, {8193, 9216}, {32768, 32768}, {32769, 36864}};
  for (const auto& row : tokens) {
    const int n = row[0], capacity = row[1];
    CAPTURE(n);
    CHECK(token_capacity(n) == capacity);
  }
  const int targets[][2] = {{0, 16},  {1, 16},   {16, 16},   {17, 32},    {49, 64},
                            {64, 64}, {65, 128}, {166, 192}, {2049, 2112}};
  for (const auto& row : targets) {
    const int n = row[0], capacity = row[1];
    CAPTURE(n);
    CHECK(target_capacity(n) == capacity);
  }
  int wrong = 0;
  // Sufficient and monotonic; wastes at most 15 tokens up to 128, 127 up to 2,048, an eighth above.
  for (int n = 1; n < 70000; n++) {
    const int capacity = token_capacity(n), step = n <= 128 ? 16 : 128;
    wrong += capacity < n || capacity - n >= std::max(step, n / 8 + 1) || capacity % step ||
             capacity < token_capacity(n - 1);
  }
  CHECK(wrong == 0);
}
