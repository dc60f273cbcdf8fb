#include "train/data/loader.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <deque>
#include <map>
#include <tuple>

#include "tests/support/binomial.h"
#include "tests/support/pairs.h"
#include "train/data/vocabulary.h"

using namespace warpbert;
using namespace warpbert::test;

namespace {

struct Data {
  io::Pairs pairs = random_pairs(100, 50, 8, 4);
  Vocabulary vocabulary{pairs, 3};
  TokenPairs tokens = vocabulary.encode(pairs);
  std::vector<Example> examples = all_examples(pairs);
  Masking masking{{}, vocabulary.size(), 11};
};

bool same(const Batch& x, const Batch& y) {
  const auto fields = [](const kernels::Target& t) {
    return std::tuple(t.token, t.other, t.other_weight, t.group);
  };
  return x.sequences == y.sequences && x.tokens == y.tokens && x.targets == y.targets &&
         x.longest == y.longest && x.ids == y.ids && x.positions == y.positions && x.order == y.order &&
         x.starts == y.starts && x.target_index == y.target_index && x.rows == y.rows &&
         std::equal(x.target.begin(), x.target.end(), y.target.begin(), y.target.end(),
                    [&](const auto& a, const auto& b) { return fields(a) == fields(b); });
}

// Builds the batch without a loader.
Batch direct(const Data& data, int batch_size, uint32_t epoch, uint32_t step) {
  const std::vector<Example> order = shuffled(data.examples, data.masking.seed(), epoch);
  const size_t first = size_t(batch_size) * step, n = std::min(size_t(batch_size), order.size() - first);
  return training_batch(data.tokens, std::span(order).subspan(first, n), data.masking, epoch, batch_size);
}

}  // namespace

TEST_CASE("loader: every permutation is equally likely") {
  std::vector<Example> four{{0, 0}, {1, 0}, {2, 0}, {3, 0}};
  std::map<std::array<int, 4>, long> counts;
  constexpr long epochs = 24000;
  for (uint32_t epoch = 0; epoch < epochs; epoch++) {
    const std::vector<Example> order = shuffled(four, 5, epoch);
    counts[{order[0].row, order[1].row, order[2].row, order[3].row}]++;
  }
  CHECK(counts.size() == 24);
  for (const auto& [order, count] : counts) CHECK(tail(epochs, 1 / 24., count) > false_alarm);
}

TEST_CASE("loader: an epoch holds every row once, with its label, in an order of its own") {
  const Data data;
  const std::vector<Example> first = shuffled(data.examples, 1, 0), again = shuffled(data.examples, 1, 0),
                             next = shuffled(data.examples, 1, 1), seed = shuffled(data.examples, 2, 0);
  const auto rows = [](const std::vector<Example>& examples) {
    std::vector<int> rows;
    for (const Example& example : examples) rows.push_back(example.row);
    return rows;
  };
  CHECK(rows(first) == rows(again));
  CHECK(rows(first) != rows(next));
  CHECK(rows(first) != rows(seed));
  CHECK(rows(first) != rows(data.examples));
  for (const auto* order : {&first, &next, &seed}) {
    std::vector<int> sorted = rows(*order);
    std::sort(sorted.begin(), sorted.end());
    CHECK(sorted == rows(data.examples));
    for (const auto [row, label] : *order) CHECK(label == data.pairs.labels[size_t(row)]);
  }
}

TEST_CASE("loader: its batches are those made directly, epoch after epoch, the last of an epoch partial") {
  const Data data;
  for (int batch_size : {1, 7, 64, 100, 150}) {
    CAPTURE(batch_size);
    Loader loader(data.tokens, data.examples, data.masking, batch_size);
    const int steps = (100 + batch_size - 1) / batch_size;
    CHECK(loader.steps_per_epoch() == steps);
    for (uint32_t epoch = 0; epoch < 3; epoch++) {
      int sequences = 0;
      for (uint32_t step = 0; step < uint32_t(steps); step++) {
        const Batch batch = loader.next();
        CHECK(batch.epoch == epoch);
        CHECK(batch.step == step);
        CHECK(same(batch, direct(data, batch_size, epoch, step)));
        sequences += batch.sequences;
      }
      CHECK(sequences == 100);
    }
  }
}

TEST_CASE("loader: started in the middle it continues as one that came from the beginning") {
  const Data data;
  for (uint32_t step : {0u, 1u, 13u, 14u, 15u}) {  // 15 steps per epoch: step 15 starts the next epoch
    Loader loader(data.tokens, data.examples, data.masking, 7, 0, 2, step);
    for (uint32_t i = 0; i < 20; i++) {
      const uint32_t epoch = 2 + (step + i) / 15, at = (step + i) % 15;
      const Batch batch = loader.next();
      CHECK(batch.epoch == epoch);
      CHECK(batch.step == at);
      CHECK(same(batch, direct(data, 7, epoch, at)));
    }
  }
}

TEST_CASE("loader: the shards of a step are its rows, in its order, wherever they are made") {
  const Data data;
  for (int count : {2, 3, 5})
    for (int part_size : {0, 2}) {
      CAPTURE(count);
      CAPTURE(part_size);
      Loader whole(data.tokens, data.examples, data.masking, 7);
      std::deque<Loader> processes;
      for (int rank = 0; rank < count; rank++)
        processes.emplace_back(data.tokens, data.examples, data.masking, 7, part_size, 0, 0,
                               deal_shards(count, rank, count));
      Loader together(data.tokens, data.examples, data.masking, 7, part_size, 0, 0, deal_shards(count, 0, 1));
      for (int step = 0; step < 20; step++) {  // crosses an epoch end; its last step has 2 rows
        const Batch expected = whole.next();
        std::vector<Batch> all, ours = together.next_step();
        for (Loader& process : processes)
          for (Batch& batch : process.next_step()) all.push_back(std::move(batch));
        REQUIRE(all.size() == ours.size());
        std::vector<int> rows;
        int tokens = 0, shards = 0;
        for (size_t i = 0; i < all.size(); i++) {
          const Batch& batch = all[i];
          CHECK(batch.rows == ours[i].rows);
          CHECK(batch.first_row == ours[i].first_row);
          if (batch.sequences) CHECK(batch.first_row == tokens);
          CHECK(batch.totals.sequences == expected.sequences);
          CHECK(batch.totals.tokens == expected.tokens);
          CHECK(batch.totals.targets == expected.targets);
          CHECK(batch.totals.longest == expected.longest);
          const int largest = (expected.sequences + count - 1) / count;
          CHECK(batch.totals.passes == uint32_t(part_size ? (largest + part_size - 1) / part_size : 1));
          rows.insert(rows.end(), batch.rows.begin(), batch.rows.end());
          tokens += batch.tokens, shards += batch.ends_shard;
        }
        CHECK(rows == expected.rows);
        CHECK(shards == count);
      }
    }
}

TEST_CASE("loader: a step in parts has the rows, masks and targets of the step in one piece") {
  const Data data;
  for (int part_size : {1, 3, 7, 50}) {
    CAPTURE(part_size);
    Loader whole(data.tokens, data.examples, data.masking, 7),
        parts(data.tokens, data.examples, data.masking, 7, part_size);
    for (int step = 0; step < 20; step++) {  // crosses an epoch end; its last step has 2 rows
      const Batch expected = whole.next();
      CHECK(expected.ends_step);
      const std::vector<Batch> all = parts.next_step();
      CHECK(int(all.size()) == (expected.sequences + part_size - 1) / part_size);
      std::vector<int> rows, ids, targets;
      for (const Batch& part : all) {
        CHECK(part.step == expected.step);
        CHECK(part.ends_step == (&part == &all.back()));
        rows.insert(rows.end(), part.rows.begin(), part.rows.end());
        ids.insert(ids.end(), part.ids.begin(), part.ids.begin() + part.tokens);
        for (int i = 0; i < part.targets; i++) targets.push_back(part.target[size_t(i)].token);
      }
      CHECK(rows == expected.rows);
      CHECK(ids == std::vector<int>(expected.ids.begin(), expected.ids.begin() + expected.tokens));
      CHECK(int(targets.size()) == expected.targets);
      for (size_t i = 0; i < targets.size(); i++) CHECK(targets[i] == expected.target[i].token);
    }
  }
}

TEST_CASE("loader: is stopped at any moment") {
  const Data data;
  for (int taken = 0; taken < 40; taken++) {
    Loader loader(data.tokens, data.examples, data.masking, 7);
    for (int i = 0; i < taken; i++) loader.next();
    // Even: destroy at once. Odd: first let the thread fill the queue and block.
    if (taken % 2) std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
}

TEST_CASE("loader: what goes wrong in the thread reaches the caller, after the good batches, every time") {
  Data data;
  data.examples.push_back({1000, 1});
  const auto bad_batch = [&](uint32_t epoch) {
    const std::vector<Example> order = shuffled(data.examples, data.masking.seed(), epoch);
    return (std::find_if(order.begin(), order.end(), [](Example e) { return e.row == 1000; }) -
            order.begin()) /
           7;
  };
  uint32_t epoch = 0;  // an epoch whose bad batch is number 3: the queue holds the earlier ones
  while (bad_batch(epoch) != 3) epoch++;
  Loader loader(data.tokens, data.examples, data.masking, 7, 0, epoch);
  std::this_thread::sleep_for(std::chrono::milliseconds(20));  // lets the thread fail
  for (uint32_t i = 0; i < 3; i++) CHECK(loader.next().step == i);
  CHECK_THROWS_WITH_AS(loader.next(), "batch: row 1000 of 100", std::out_of_range);
  CHECK_THROWS_AS(loader.next(), std::out_of_range);
}

TEST_CASE("loader: faulty arguments are refused") {
  const Data data;
  CHECK_THROWS_AS(Loader(data.tokens, {}, data.masking, 7), std::invalid_argument);
  CHECK_THROWS_AS(Loader(data.tokens, data.examples, data.masking, 0), std::invalid_argument);
  CHECK_THROWS_AS(Loader(data.tokens, data.examples, data.masking, 7, 0, 0, 16), std::invalid_argument);
}
