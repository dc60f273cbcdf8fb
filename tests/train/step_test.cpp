// A step as a graph: the same bits as the step sent kernel by kernel, whatever the order in which the graph's branches
// run, for batches of changing sizes.
#include "train/step.h"

#include <doctest/doctest.h>

#include <random>

#include "train/vocabulary.h"

#ifndef WARPBERT_CUDA
#include "kernels/simt_cpu.h"
#endif

using namespace warpbert;

namespace {

// A batch of random sentences. Every third has long ones, every sixth many targets: batches of equal and of other
// capacities occur, of each kind more than once.
Batch batch(int number, int vocabulary) {
  std::mt19937 random(static_cast<unsigned>(number));
  const int sequences = 6, length = number % 3 == 2 ? 40 : 14;
  std::vector<int32_t> tokens(size_t(sequences) * length), targets(tokens.size());
  for (int row = 0; row < sequences; row++) {
    const int n = 4 + int(random() % unsigned(length - 3));
    for (int i = 0; i < n; i++) {
      int32_t& token = tokens[size_t(row) * length + i];
      token = i ? token::first_word + int(random() % unsigned(vocabulary - token::first_word)) : token::cls;
      if (i && random() % 5 < (number % 6 == 5 ? 4 : 1)) targets[size_t(row) * length + i] = token, token = token::mask;
    }
    if (row % 2) targets[size_t(row) * length] = token::no + int(random() % 2);
  }
  return packed_batch(tokens, targets, sequences, length);
}

struct Result {
  std::vector<float> masters, m, v;
  LossSums sums;
  size_t graphs;
  bool operator==(const Result& o) const {
    return masters == o.masters && m == o.m && v == o.v && sums.mlm == o.sums.mlm && sums.cls == o.sums.cls;
  }
};

Result train(Precision precision, bool graphs, AdamOptions adam = {}) {
  BertConfig c;
  c.vocabulary = 90, c.layers = 2, c.hidden = 32, c.heads = 2, c.intermediate = 64, c.max_positions = 48;
  c.attention_dropout = 0.1f;
  Device device;
  Bert bert(c);
  bert.store.allocate(device, precision);
  initialise(bert, 1, 0.1f);
  Stepper stepper(device, bert, precision, 5, adam, false);
  stepper.use_graphs(graphs);
  for (int step = 0; step < 24; step++) stepper.train(batch(step, c.vocabulary), 1e-3 * (1 + step % 4));
  Result result{{}, {}, {}, stepper.take_losses(), stepper.graphs()};
  CHECK(stepper.all_finite());
  for (const auto& array : bert.store.named()) {
    const auto append = [&](std::vector<float>& all, const float* buffer) {
      const auto values = bert.store.download(buffer, array);
      all.insert(all.end(), values.begin(), values.end());
    };
    append(result.masters, bert.store.masters());
    append(result.m, bert.store.m()), append(result.v, bert.store.v());
  }
  return result;
}

}  // namespace

TEST_CASE("step: a graph gives the bits of the kernels sent one by one, in every order of its branches") {
  AdamOptions clipped;
  clipped.clip_norm = 0.5f, clipped.weight_decay = 0.1f;
  for (const Precision precision : {Precision::fp32, Precision::bf16})
    for (const AdamOptions& adam : {AdamOptions{}, clipped}) {
      const Result plain = train(precision, false, adam);
      CHECK(plain.graphs == 0);
      const Result graph = train(precision, true, adam);
      CHECK(graph.graphs >= 2);
      CHECK(graph == plain);
#ifndef WARPBERT_CUDA
      const auto before = simt::current_order();
      for (const auto& [order, seed] : {simt::OrderAndSeed{simt::Order::reverse, 1},
                                        {simt::Order::random, 1},
                                        {simt::Order::random, 2},
                                        {simt::Order::random, 3}}) {
        simt::set_order(order, seed);
        CHECK(train(precision, true, adam) == plain);
      }
      simt::set_order(before.order, before.seed);
#endif
    }
  // The two ways to update are one formula: early on the branch, or all at the end because the norm has to be known.
  AdamOptions loose;
  loose.clip_norm = 1e9f;
  CHECK(train(Precision::fp32, true, loose) == train(Precision::fp32, true));
}

TEST_CASE("step: state and restore") {
  BertConfig c;
  c.vocabulary = 90, c.layers = 1, c.hidden = 32, c.heads = 2, c.intermediate = 64, c.max_positions = 48;
  Device device;
  Bert bert(c);
  bert.store.allocate(device, Precision::fp32);
  initialise(bert, 1, 0.1f);
  Stepper one(device, bert, Precision::fp32, 5, {}, false), two(device, bert, Precision::fp32, 5, {}, false);
  one.train(batch(0, c.vocabulary), 1e-3);
  one.train(batch(1, c.vocabulary), 1e-3);
  const StepperState state = one.state();
  CHECK(state.pass == 2);
  CHECK(state.updates == 2);
  CHECK(state.sums[2] > 0);
  two.restore(state);
  CHECK(two.take_losses().loss() == one.take_losses().loss());
}

TEST_CASE("step: scores by a graph are those of the kernels sent one by one, and training between changes nothing") {
  BertConfig c;
  c.vocabulary = 90, c.layers = 1, c.hidden = 32, c.heads = 2, c.intermediate = 64, c.max_positions = 48;
  Device device;
  Bert bert(c);
  for (const Precision precision : {Precision::fp32, Precision::bf16}) {
    bert.store.allocate(device, precision);
    initialise(bert, 1, 0.1f);
    Stepper plain(device, bert, precision, 5, {}, false), graphs(device, bert, precision, 5, {}, false);
    plain.use_graphs(false);
    for (int pass = 0; pass < 3; pass++)
      for (int number : {0, 2}) {
        const Batch b = batch(number, c.vocabulary);
        CHECK(graphs.is_warm(b) == (pass > 1));
        const auto expected = plain.log_probabilities(b);
        CHECK(plain.is_warm(b));
        graphs.start_scoring(b);
        CHECK(graphs.finish_scoring() == expected);
        CHECK(expected[0] != expected[2]);
        if (pass == 1) graphs.train(batch(3, c.vocabulary), 1e-3);
      }
    CHECK(plain.graphs() == 0);
  }
}
