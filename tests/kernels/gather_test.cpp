#include <doctest/doctest.h>

#include <algorithm>
#include <iterator>

#include "kernels/kernels.h"
#include "tests/support/buffer.h"
#include "tests/support/rows.h"

using namespace warpbert;
using namespace warpbert::test;

namespace {

struct Shape {
  int targets, target_capacity, rows, capacity, hidden;
};
constexpr Shape shapes[] = {{1, 1, 1, 1, 8},     {0, 3, 5, 8, 64},       {7, 7, 7, 7, 264},
                            {5, 64, 33, 40, 16}, {31, 33, 100, 128, 40}, {2, 8, 31, 31, 768}};

// Strictly ascending rows; includes the first and the last row if there are at least two.
std::vector<int> targets_of(const Shape& s) {
  std::vector<int> all(s.rows), index;
  for (int r = 0; r < s.rows; r++) all[r] = r;
  std::mt19937 generator(1);
  if (s.targets >= 2) index = {0, s.rows - 1}, all.erase(all.begin()), all.pop_back();
  std::sample(all.begin(), all.end(), std::back_inserter(index), s.targets - index.size(), generator);
  std::sort(index.begin(), index.end());
  return index;
}

// Pads the index with `padding`, which must not be read; by default an out-of-range row.
std::vector<int> padded(std::vector<int> index, int capacity, int padding = 1 << 28) {
  index.resize(capacity, padding);
  return index;
}

template <class T>
void check(const Shape& s) {
  INFO(s.targets, " of ", s.rows, " rows, room for ", s.target_capacity, " of ", s.capacity, ", hidden ",
       s.hidden, sizeof(T) == 2 ? ", bf16" : ", float");
  const size_t hidden = s.hidden, all = s.capacity * hidden;
  const auto index = targets_of(s);
  const auto x_values = poisoned(normal<T>(s.rows * hidden), all),
             dy_values = poisoned(normal<T>(s.targets * hidden, 1, 0, 2), s.target_capacity * hidden),
             before = poisoned(normal<T>(s.rows * hidden, 1, 0, 3), all);
  Buffer<int> target_count(std::vector{s.targets}), count(std::vector{s.rows}),
      at(padded(index, s.target_capacity));
  const kernels::Rows targets{s.target_capacity, target_count}, rows{s.capacity, count};
  Buffer<T> x(x_values), y(s.target_capacity * hidden), dy(dy_values), dx(all), sum(before);
  kernels::gather_rows(nullptr, view(y, targets, s.hidden), view(x, rows, s.hidden), at);
  kernels::scatter_rows(nullptr, {view(dx, rows, s.hidden)}, view(dy, targets, s.hidden), at);
  kernels::scatter_rows(nullptr, {view(sum, rows, s.hidden), kernels::Grad::accumulate},
                        view(dy, targets, s.hidden), at);
  synchronize();

  // Copies and a single rounded sum are exact.
  std::vector<float> expected_y(s.target_capacity * hidden), expected_dx(all), expected_sum(all);
  for (size_t i = 0; i < s.rows * hidden; i++) expected_sum[i] = to_float(before[i]);
  for (size_t m = 0; m < index.size(); m++)
    for (size_t c = 0; c < hidden; c++) {
      const size_t to = index[m] * hidden + c, from = m * hidden + c;
      expected_y[from] = to_float(x_values[to]);
      expected_dx[to] = to_float(dy_values[from]);
      expected_sum[to] = to_float(from_float<T>(to_float(before[to]) + to_float(dy_values[from])));
    }
  int wrong_y = 0, wrong_dx = 0, wrong_sum = 0;
  for (size_t i = 0; i < expected_y.size(); i++) wrong_y += !(to_float(y[i]) == expected_y[i]);
  for (size_t i = 0; i < all; i++) wrong_dx += !(to_float(dx[i]) == expected_dx[i]);
  for (size_t i = 0; i < all; i++) wrong_sum += !(to_float(sum[i]) == expected_sum[i]);
  CHECK(wrong_y == 0);
  CHECK(wrong_dx == 0);
  CHECK(wrong_sum == 0);
}

}  // namespace

TEST_CASE("gather_rows, scatter_rows: = and +=, padding rows zero") {
  for (const Shape& s : shapes) check<float>(s), check<bf16>(s);
}

TEST_CASE("scatter_rows: every place in an index of every length up to 9") {
  // The search must work for rows before, between and after the targets, and must not enter the padding,
  // which holds a valid row.
  const int rows = 10, hidden = 8;
  Buffer<int> count(std::vector{rows});
  for (int set = 0; set < 1 << rows; set += 3) {  // bit r: row r is a target
    std::vector<int> index;
    for (int r = 0; r < rows; r++)
      if (set >> r & 1) index.push_back(r);
    if (index.size() > 9) continue;
    Buffer<int> target_count(std::vector{int(index.size())}), at(padded(index, 9, rows - 1));
    Buffer<float> dy(std::vector<float>(9 * hidden, 1)), dx(rows * hidden);
    kernels::scatter_rows(nullptr, {view(dx, {rows, count}, hidden)}, view(dy, {9, target_count}, hidden),
                          at);
    synchronize();
    int found = 0;
    for (int r = 0; r < rows; r++) found |= int(dx[r * hidden]) << r;
    CHECK(found == set);
  }
}

TEST_CASE("gather_rows, scatter_rows: sizes they cannot do are refused by name") {
  Buffer<int> count(std::vector{1}), index(std::vector{0});
  Buffer<float> a(64);
  for (const int hidden : {0, 12}) {
    const auto x = view(a, {1, count}, hidden);
    CHECK_THROWS_WITH_AS(kernels::gather_rows(nullptr, x, x, index), doctest::Contains("gather_rows"),
                         std::invalid_argument);
    CHECK_THROWS_WITH_AS(kernels::scatter_rows(nullptr, {x}, x, index), doctest::Contains("scatter_rows"),
                         std::invalid_argument);
  }
}
