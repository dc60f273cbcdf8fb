#include <doctest/doctest.h>

#include <algorithm>
#include <numeric>

#include "kernels/kernels.h"
#include "tests/support/buffer.h"
#include "tests/support/rows.h"

using namespace warpbert;
using namespace warpbert::test;

namespace {

std::vector<int> padded(std::vector<int> values, size_t capacity) {
  values.resize(capacity, 1 << 28);  // out of range of every table
  return values;
}

std::vector<int> random_ids(int n, int vocabulary, unsigned seed = 1) {
  std::mt19937 generator(seed);
  std::vector<int> ids(n);
  for (int& id : ids) id = int(generator() % unsigned(vocabulary));
  return ids;
}

std::vector<int> sorted(const std::vector<int>& ids) {
  std::vector<int> order(ids.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int a, int b) { return ids[a] < ids[b]; });
  return order;
}

template <class T>
void check_forward(int n, int capacity, int hidden) {
  INFO(n, " rows of ", capacity, ", hidden ", hidden, sizeof(T) == 2 ? ", bf16" : ", float");
  const int vocabulary = 50, max_positions = 35;
  const auto ids = random_ids(n, vocabulary), positions = random_ids(n, max_positions, 2);
  const auto word = normal<T>(size_t(vocabulary) * hidden),
             position = normal<T>(size_t(max_positions) * hidden, 1, 0, 2),
             segment = poisoned(normal<T>(hidden, 1, 0, 3), 2 * size_t(hidden));  // row 1 must not be read
  Buffer<int> count(std::vector{n}), i(padded(ids, capacity)), p(padded(positions, capacity));
  Buffer<T> w(word), pos(position), s(segment), y(size_t(capacity) * hidden);
  kernels::embedding_forward(
      nullptr, view(y, {capacity, count}, hidden),
      {view(w, {vocabulary}, hidden), view(pos, {max_positions}, hidden), view(s, {2}, hidden)}, i, p);
  synchronize();
  Worst worst;
  for (int r = 0; r < n; r++)
    for (int c = 0; c < hidden; c++)
      worst.add(to_float(y[size_t(r) * hidden + c]),
                double(to_float(word[size_t(ids[r]) * hidden + c])) +
                    to_float(position[size_t(positions[r]) * hidden + c]) + to_float(segment[c]));
  CHECK(worst.value < tolerance<T>);
  CHECK(nonzero(y, size_t(n) * hidden, y.size()) == 0);
}

// dword added to `before` by the kernel. The poisoned workspace has exactly the documented size.
template <class T>
std::vector<float> word_gradient(const std::vector<int>& ids, int capacity, int hidden,
                                 const std::vector<T>& dy, const std::vector<float>& before) {
  Buffer<int> count(std::vector{int(ids.size())}), i(padded(ids, capacity)),
      order(padded(sorted(ids), capacity));
  Buffer<T> d(poisoned(dy, size_t(capacity) * hidden));
  Buffer<float> dword(before), workspace(kernels::embedding_workspace(capacity, hidden));
  kernels::embedding_backward_word(nullptr, view(dword, {int(before.size()) / hidden}, hidden), workspace,
                                   view(d, {capacity, count}, hidden), i, order);
  synchronize();
  return dword.vector();
}

template <class T>
void check_word(const std::vector<int>& ids, int vocabulary, int capacity, int hidden) {
  INFO(ids.size(), " rows of ", capacity, ", hidden ", hidden, sizeof(T) == 2 ? ", bf16" : ", float");
  const auto before = normal<float>(size_t(vocabulary) * hidden, 1, 0, 5);
  const auto dy = normal<T>(ids.size() * hidden, 1, 0.1f, 6);
  const auto dword = word_gradient(ids, capacity, hidden, dy, before);
  std::vector<double> expected(before.begin(), before.end());
  for (size_t r = 0; r < ids.size(); r++)
    for (int c = 0; c < hidden; c++) expected[size_t(ids[r]) * hidden + c] += to_float(dy[r * hidden + c]);
  Worst worst;
  for (size_t k = 0; k < dword.size(); k++) worst.add(dword[k], expected[k], 10);
  CHECK(worst.value < tolerance<float>);
  // Words without rows stay bitwise unchanged.
  std::vector<bool> seen(vocabulary);
  for (const int id : ids) seen[id] = true;
  int touched = 0;
  for (size_t k = 0; k < dword.size(); k++) touched += !seen[k / hidden] && dword[k] != before[k];
  CHECK(touched == 0);
}

template <class T>
void check_position(const std::vector<int>& lengths, int unused, int max_positions, int hidden,
                    bool accumulate) {
  INFO(lengths.size(), " sequences, ", max_positions, " positions, hidden ", hidden, ", accumulate ",
       accumulate);
  std::vector<int> starts = {0};
  for (const int length : lengths) starts.push_back(starts.back() + length);
  const int n = starts.back();
  starts.resize(starts.size() + unused, n);
  const auto before = normal<float>(size_t(max_positions) * hidden, 1, 0, 5);
  const auto values = normal<T>(size_t(n) * hidden, 1, 0.1f, 6);
  Buffer<int> s(starts);
  Buffer<T> dy(poisoned(values, size_t(n + 7) * hidden));
  Buffer<float> dposition(accumulate ? before : poisoned<float>({}, before.size()));
  kernels::embedding_backward_position(nullptr,
                                       {view(dposition, {max_positions}, hidden),
                                        accumulate ? kernels::Grad::accumulate : kernels::Grad::overwrite},
                                       view(dy, {n + 7}, hidden),
                                       {.starts = s,
                                        .count = int(starts.size()) - 1,
                                        .max_length = max_positions,
                                        .max_positions = max_positions});
  synchronize();
  std::vector<double> expected(before.size());
  if (accumulate) expected.assign(before.begin(), before.end());
  for (size_t b = 0; b + 1 < starts.size(); b++)
    for (int r = starts[b]; r < starts[b + 1]; r++)
      for (int c = 0; c < hidden; c++)
        expected[size_t(r - starts[b]) * hidden + c] += to_float(values[size_t(r) * hidden + c]);
  Worst worst;
  for (size_t k = 0; k < expected.size(); k++) worst.add(dposition[k], expected[k]);
  CHECK(worst.value < tolerance<float>);
}

}  // namespace

TEST_CASE("embedding_forward: padding ids are not read, padding rows are zero") {
  const int shapes[][3] = {{1, 1, 8}, {0, 4, 64}, {31, 33, 264}, {33, 40, 312}, {100, 128, 64}, {3, 3, 1024}};
  for (const auto& [n, capacity, hidden] : shapes) {
    check_forward<float>(n, capacity, hidden);
    check_forward<bf16>(n, capacity, hidden);
  }
}

TEST_CASE("embedding_backward_word: runs inside chunks of 32 sorted rows and across their borders") {
  // Occurrences of each word; rows are then shuffled.
  const std::vector<std::vector<int>> runs = {
      {1},
      {32},
      {33},
      {31, 1},
      {31, 2},                     // across one border
      {16, 16, 16, 16},            // runs end at borders
      {20, 20, 20, 20},            // a different run crosses each border
      {5, 128, 64, 1, 1, 100, 2},  // e.g. [SEP] and [CLS] of 64 pairs
      {300},                       // one word over ten chunks
      {40, 60},
      {64, 64},
      {10, 86, 7},  // run heads fill whole chunks; a run spans three
      std::vector<int>(100, 1),
  };
  for (size_t k = 0; k < runs.size(); k++) {
    std::vector<int> ids;
    for (size_t word = 0; word < runs[k].size(); word++)
      ids.insert(ids.end(), runs[k][word], int(3 * word + 1));
    std::shuffle(ids.begin(), ids.end(), std::mt19937(unsigned(k)));
    const int n = int(ids.size()), vocabulary = 3 * int(runs[k].size()) + 2;
    check_word<float>(ids, vocabulary, n, 8);
    check_word<bf16>(ids, vocabulary, n + 70, 16);
  }
}

TEST_CASE("embedding_backward_word: words as they come, several strips of columns, no rows at all") {
  for (const int hidden : {8, 264, 768}) {
    check_word<float>(random_ids(333, 40), 40, 400, hidden);
    check_word<bf16>(random_ids(65, 200), 200, 65, hidden);
  }
  check_word<float>({}, 5, 70, 64);
}

TEST_CASE("embedding_backward_word: the same bits in every capacity") {
  const int hidden = 40, vocabulary = 30;
  const auto ids = random_ids(333, vocabulary);
  const auto dy = normal<bf16>(ids.size() * hidden);
  const std::vector<float> zero(vocabulary * hidden);
  const auto tight = word_gradient(ids, int(ids.size()), hidden, dy, zero);
  CHECK(word_gradient(ids, 334, hidden, dy, zero) == tight);
  CHECK(word_gradient(ids, 2000, hidden, dy, zero) == tight);
}

TEST_CASE("embedding_backward_position: = and +=, unused and many sequences, positions nobody has") {
  for (const bool accumulate : {false, true}) {
    check_position<float>({1}, 0, 1, 8, accumulate);
    check_position<bf16>({1}, 3, 4, 264, accumulate);
    check_position<float>({5, 1, 33, 2, 35, 31, 4, 4, 9, 17, 12}, 5, 40, 40, accumulate);
    check_position<bf16>({5, 1, 33, 2, 35, 31, 4, 4, 9, 17, 12}, 0, 35, 16, accumulate);
    check_position<bf16>({}, 2, 3, 520, accumulate);
    for (const size_t n : {29, 32, 69}) {  // around the 32 that a block handles at once
      std::vector<int> lengths(n);
      for (size_t b = 0; b < n; b++) lengths[b] = int(b * 7 % 23);
      check_position<bf16>(lengths, 0, 23, 264, accumulate);
      check_position<float>(lengths, 3, 24, 16, accumulate);
    }
  }
}

TEST_CASE("embedding: sizes it cannot do are refused by name") {
  Buffer<int> i(std::vector{0, 1});
  Buffer<float> a(64);
  for (const int hidden : {0, 12}) {
    const auto x = view(a, {1, i}, hidden);
    CHECK_THROWS_WITH_AS(kernels::embedding_forward(nullptr, x, {x, x, x}, i, i),
                         doctest::Contains("embedding_forward"), std::invalid_argument);
    CHECK_THROWS_WITH_AS(kernels::embedding_backward_word(nullptr, x, a, x, i, i),
                         doctest::Contains("embedding_backward_word"), std::invalid_argument);
    CHECK_THROWS_WITH_AS(kernels::embedding_backward_position(nullptr, {x}, x, {i, 1, 1, 1}),
                         doctest::Contains("embedding_backward_position"), std::invalid_argument);
  }
  CHECK_THROWS_AS(kernels::embedding_backward_position(nullptr, {view(a, {65536}, 8)}, view(a, {1, i}, 8),
                                                       {i, 1, 1, 65536}),
                  std::invalid_argument);
}
