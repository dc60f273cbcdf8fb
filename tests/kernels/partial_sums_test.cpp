#include <doctest/doctest.h>

#include <deque>

#include "kernels/kernels.h"
#include "tests/support/buffer.h"
#include "tests/support/rows.h"

using namespace warpbert;
using namespace warpbert::test;
using kernels::Grad;
using kernels::Reduction;

namespace {

template <class T>
void check_sums(int n, int capacity, int columns, int ld) {
  INFO(n, " rows of ", capacity, ", columns ", columns, " of ", ld, sizeof(T) == 2 ? ", bf16" : ", float");
  // Padding columns and rows are NaN.
  auto values = normal<T>(size_t(n) * ld, 1, 0.1f);
  for (size_t i = 0; i < values.size(); i++)
    if (int(i % ld) >= columns) values[i] = from_float<T>(NAN);
  Buffer<int> count(std::vector{n});
  Buffer<T> x(poisoned(values, size_t(capacity) * ld));
  Buffer<float> partials(size_t(kernels::partial_blocks(capacity)) * columns);
  kernels::View strided = view(x, {capacity, count}, columns);
  strided.ld = ld;
  kernels::partial_sums(nullptr, partials, strided);
  const auto sums = finished(partials, kernels::partial_blocks(capacity), 1, columns);

  Worst worst;
  for (int c = 0; c < columns; c++) {
    double expected = 0;
    for (int r = 0; r < n; r++) expected += to_float(values[size_t(r) * ld + c]);
    worst.add(sums[0][c], expected, 10);  // scale: the largest partial sum, about 10
  }
  CHECK(worst.value < tolerance<float>);  // sums are float for any T
}

}  // namespace

TEST_CASE("partial_sums: sizes around what a block takes, and a leading dimension") {
  const int shapes[][4] = {{1, 1, 8, 8},        {0, 4, 16, 16},       {31, 31, 248, 256}, {32, 40, 256, 256},
                           {33, 70, 264, 1024}, {200, 256, 520, 520}, {3, 3, 2304, 2304}};
  for (const auto& [n, capacity, columns, ld] : shapes) {
    check_sums<float>(n, capacity, columns, ld);
    check_sums<bf16>(n, capacity, columns, ld);
  }
}

TEST_CASE("partial_sums: the same bits in every capacity") {
  const int n = 77, columns = 40;
  const auto run = [&](int capacity) {
    Buffer<int> count(std::vector{n});
    Buffer<float> x(poisoned(normal<float>(n * columns), size_t(capacity) * columns)),
        partials(size_t(kernels::partial_blocks(capacity)) * columns);
    kernels::partial_sums(nullptr, partials, view(x, {capacity, count}, columns));
    return finished(partials, kernels::partial_blocks(capacity), 1, columns);
  };
  const auto tight = run(n);
  CHECK(run(n + 1) == tight);
  CHECK(run(96) == tight);
  CHECK(run(1000) == tight);
}

TEST_CASE("reduce_partials: several sums in one launch, = and +=, interleaved partials") {
  // Partial sums [blocks, 3, 40] as from add_dropout_norm_backward, plus other sizes, one with zero blocks.
  struct Shape {
    int blocks, stride, columns;
  };
  const Shape shapes[] = {{9, 120, 40}, {9, 120, 40}, {9, 120, 40}, {1, 31, 31},
                          {8, 33, 33},  {130, 1, 1},  {0, 5, 5},    {17, 100, 97}};
  for (const int n : {1, 7, 8}) {
    std::deque<Buffer<float>> in, out;
    std::vector<Reduction> jobs;
    const auto before = normal<float>(200, 1, 0, 9);
    for (int s = 0; s < n; s++) {
      const Shape& shape = shapes[s];
      in.emplace_back(normal<float>(size_t(shape.blocks) * shape.stride, 1, 0, s + 1));
      const bool accumulate = s % 2;
      out.emplace_back(poisoned<float>({}, shape.columns));
      if (accumulate) std::copy_n(before.begin(), shape.columns, out[s].data());
      jobs.push_back({out[s], accumulate ? Grad::accumulate : Grad::overwrite, in[s], shape.blocks,
                      shape.stride, shape.columns});
    }
    if (n > 1) jobs[1].partials = in[0].data() + 40;
    kernels::reduce_partials(nullptr, jobs.data(), n);
    synchronize();
    for (int s = 0; s < n; s++) {
      Worst worst;
      for (int c = 0; c < shapes[s].columns; c++) {
        double expected = jobs[s].mode == Grad::accumulate ? before[c] : 0;
        for (int b = 0; b < shapes[s].blocks; b++)
          expected += jobs[s].partials[size_t(b) * shapes[s].stride + c];
        worst.add(out[s][c], expected);
      }
      INFO("sum ", s, " of ", n);
      CHECK(worst.value < tolerance<float>);
    }
  }
  kernels::reduce_partials(nullptr, nullptr, 0);
}

TEST_CASE("partial_sums, reduce_partials: what they cannot do is refused by name") {
  Buffer<int> count(std::vector{1});
  Buffer<float> a(64);
  const auto sums = [&](int ld, int columns) {
    kernels::partial_sums(nullptr, a, {a.data(), kernels::DType::f32, {1, count}, columns, ld});
  };
  CHECK_THROWS_WITH_AS(sums(16, 12), doctest::Contains("partial_sums"), std::invalid_argument);
  CHECK_THROWS_WITH_AS(sums(12, 8), doctest::Contains("partial_sums"), std::invalid_argument);
  CHECK_THROWS_WITH_AS(sums(8, 16), doctest::Contains("partial_sums"), std::invalid_argument);
  CHECK_THROWS_WITH_AS(sums(8, 0), doctest::Contains("partial_sums"), std::invalid_argument);
  const std::vector<Reduction> jobs(9, Reduction{a, Grad::overwrite, a, 1, 8, 8});
  const auto finish = [&](Reduction job) { kernels::reduce_partials(nullptr, &job, 1); };
  CHECK_THROWS_WITH_AS(kernels::reduce_partials(nullptr, jobs.data(), 9),
                       doctest::Contains("reduce_partials"), std::invalid_argument);
  CHECK_THROWS_WITH_AS(finish({a, Grad::overwrite, a, 1, 7, 8}), doctest::Contains("stride"),
                       std::invalid_argument);
  CHECK_THROWS_WITH_AS(finish({a, Grad::overwrite, a, -1, 8, 8}), doctest::Contains("reduce_partials"),
                       std::invalid_argument);
}
