// A training step launched as a graph is bitwise equal to eager kernels, in any order of its parallel
// branches, for batches of varying sizes.
#include "train/step/model_steps.h"

#include <doctest/doctest.h>

#include <random>

#include "tests/support/largest.h"
#include "train/data/vocabulary.h"
#include "train/step/layer_lr.h"

#ifndef WARPBERT_CUDA
#include "simt/cpu/language.h"
#include "tests/support/thread_order.h"
#endif

using namespace warpbert;
using namespace warpbert::test;

namespace {

// A random batch. Every third has long sentences, every sixth many targets, so capacities vary and repeat.
Batch batch(int number, int vocabulary) {
  std::mt19937 random(static_cast<unsigned>(number));
  const int sequences = 6, length = number % 3 == 2 ? 40 : 14;
  std::vector<int32_t> tokens(size_t(sequences) * length), targets(tokens.size());
  for (int row = 0; row < sequences; row++) {
    const int n = 4 + int(random() % unsigned(length - 3));
    for (int i = 0; i < n; i++) {
      int32_t& token = tokens[size_t(row) * length + i];
      token = i ? token::first_word + int(random() % unsigned(vocabulary - token::first_word)) : token::cls;
      if (i && random() % 5 < (number % 6 == 5 ? 4 : 1))
        targets[size_t(row) * length + i] = token, token = token::mask;
    }
    if (row % 2) targets[size_t(row) * length] = token::no + int(random() % 2);
  }
  return packed_batch(tokens, targets, sequences, length);
}

// One batch of all rows.
Batch joined(const std::vector<Batch>& parts, int length) {
  std::vector<int32_t> tokens, targets;
  int sequences = 0;
  for (const Batch& part : parts) {
    const size_t first = tokens.size();
    tokens.resize(first + size_t(part.sequences) * length), targets.resize(tokens.size());
    for (int row = 0, k = 0; row < part.sequences; row++)
      for (int i = part.starts[size_t(row)]; i < part.starts[size_t(row) + 1]; i++) {
        const size_t at = first + size_t(row) * length + size_t(i - part.starts[size_t(row)]);
        tokens[at] = part.ids[size_t(i)];
        if (k < part.targets && part.target_index[size_t(k)] == i)
          targets[at] = part.target[size_t(k++)].token;
      }
    sequences += part.sequences;
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

struct Setting {
  AdamOptions adam;
  int parts = 1;  // micro-batches per step
  float fgm = 0;
};

Result train(Precision precision, bool graphs, const Setting& setting = {}, size_t most_graphs = 256) {
  BertConfig c;
  c.vocabulary = 90, c.layers = 2, c.hidden = 32, c.heads = 2, c.intermediate = 64, c.max_positions = 48;
  c.attention_dropout = 0.1f;
  Device device;
  Bert bert(c);
  bert.store.allocate(device, precision);
  initialise(bert, 1, 0.1f);
  set_layer_lr(bert, 0.5f, 2);
  ModelSteps steps(device, bert, precision, {.seed = 5, .adam = setting.adam, .fgm_epsilon = setting.fgm},
                   graphs);
  steps.resources.graphs.limit(most_graphs);
  for (int step = 0; step < 24; step++) {
    std::vector<Batch> parts;
    for (int i = 0; i < setting.parts; i++) parts.push_back(batch(step + i, c.vocabulary));
    steps.train.take(parts, 1e-3 * (1 + step % 4));
  }
  Result result{{}, {}, {}, steps.train.take_losses(), steps.resources.graphs.captured()};
  CHECK(steps.train.all_finite());
  for (const auto& array : bert.store.named()) {
    const auto append = [&](std::vector<float>& all, const float* buffer) {
      const auto values = bert.store.download(buffer, array);
      all.insert(all.end(), values.begin(), values.end());
    };
    append(result.masters, bert.store.master_weights());
    append(result.m, bert.store.m()), append(result.v, bert.store.v());
    if (bert.store.ema_weights()) append(result.v, bert.store.ema_weights());
  }
  return result;
}

// A model without dropout that exposes its gradients.
struct Looked {
  Device device;
  Bert bert;
  explicit Looked(Precision precision = Precision::fp32) : bert(config()) {
    bert.store.allocate(device, precision);
    initialise(bert, 1, 0.1f);
  }
  static BertConfig config() {
    BertConfig c;
    c.vocabulary = 90, c.layers = 2, c.hidden = 32, c.heads = 2, c.intermediate = 64, c.max_positions = 48;
    c.dropout = 0;
    return c;
  }
  std::vector<float> gradients() { return all(bert.store.grads()); }
  std::vector<float> master_weights() { return all(bert.store.master_weights()); }

 private:
  std::vector<float> all(const float* buffer) {
    std::vector<float> all;
    for (const auto& array : bert.store.named()) {
      const auto values = bert.store.download(buffer, array);
      all.insert(all.end(), values.begin(), values.end());
    }
    return all;
  }
};

}  // namespace

TEST_CASE("step: a graph gives the bits of the kernels sent one by one, in every order of its branches") {
  AdamOptions clipped;
  clipped.clip_norm = 0.5f, clipped.weight_decay = 0.1f, clipped.ema_decay = 0.9;
  for (const Precision precision : {Precision::fp32, Precision::bf16})
    for (const Setting& setting : {Setting{}, {clipped}, {{}, 3}, {{}, 1, 0.5f}, {clipped, 1, 0.5f}}) {
      const Result plain = train(precision, false, setting);
      CHECK(plain.graphs == 0);
      const Result graph = train(precision, true, setting);
      CHECK(graph.graphs >= 2);
      CHECK(graph == plain);
      const Result one = train(precision, true, setting, 1);
      CHECK(one.graphs == 1);
      CHECK(one == plain);
#ifndef WARPBERT_CUDA
      for (const auto& [order, seed] : {simt::OrderAndSeed{simt::Order::reverse, 1},
                                        {simt::Order::random, 1},
                                        {simt::Order::random, 2},
                                        {simt::Order::random, 3}}) {
        const ThreadOrder set({order, seed});
        CHECK(train(precision, true, setting) == plain);
      }
#endif
    }
  // Early updates on the side stream equal those at the end, which clipping forces, as it needs the norm.
  AdamOptions loose;
  loose.clip_norm = 1e9f;
  CHECK(train(Precision::fp32, true, {loose}) == train(Precision::fp32, true));
}

TEST_CASE("step: state and restore") {
  BertConfig c;
  c.vocabulary = 90, c.layers = 1, c.hidden = 32, c.heads = 2, c.intermediate = 64, c.max_positions = 48;
  Device device;
  Bert bert(c);
  bert.store.allocate(device, Precision::fp32);
  initialise(bert, 1, 0.1f);
  StepResources resources(device, bert, Precision::fp32);
  TrainStep one(resources, {.seed = 5}), two(resources, {.seed = 5});
  one.take(batch(0, c.vocabulary), 1e-3);
  one.take(batch(1, c.vocabulary), 1e-3);
  const TrainStepState state = one.state();
  CHECK(state.pass == 2);
  CHECK(state.updates == 2);
  CHECK(state.sums[2] > 0);
  two.restore(state);
  CHECK(two.take_losses().loss() == one.take_losses().loss());
}

TEST_CASE("step: parts add up to the gradient of the whole batch") {
  const int vocabulary = Looked::config().vocabulary;
  std::vector<Batch> parts;
  for (int number : {0, 2, 5}) parts.push_back(batch(number, vocabulary));
  const Batch whole = joined(parts, 40);
  CHECK(whole.targets == parts[0].targets + parts[1].targets + parts[2].targets);
  Looked one, several;
  StepResources for_one(one.device, one.bert, Precision::fp32),
      for_several(several.device, several.bert, Precision::fp32);
  TrainStep once(for_one, {.seed = 5}), added(for_several, {.seed = 5});
  once.take(whole, 1e-3);
  added.take(parts, 1e-3);
  CHECK(relative_difference(several.gradients(), one.gradients()) < 1e-6);  // different summation order
  CHECK(added.take_losses().loss() == doctest::Approx(once.take_losses().loss()).epsilon(1e-6));
  CHECK(added.grad_norm() == doctest::Approx(once.grad_norm()).epsilon(1e-6));
}

TEST_CASE("step: shards add up to the step of the whole batch, dropout included, and one may be empty") {
  BertConfig c = Looked::config();
  c.dropout = 0.2f, c.attention_dropout = 0.1f;
  const std::vector<Batch> parts = {batch(0, c.vocabulary), batch(1, c.vocabulary)};
  const Batch whole = joined(parts, 14);
  const auto train = [&](std::vector<Batch> batches, const Shards& shards, float fgm) {
    Device device;
    Bert bert(c);
    bert.store.allocate(device, Precision::fp32);
    initialise(bert, 1, 0.1f);
    ModelSteps steps(device, bert, Precision::fp32,
                     {.seed = 5, .fgm_epsilon = fgm, .shards = shards, .group = &ProcessGroup::world()});
    int first_row = 0;
    for (Batch& batch : batches) {
      batch.totals = {whole.sequences, whole.tokens, whole.targets, whole.longest, 1};
      if (shards.count > 1) batch.first_row = first_row;
      first_row += batch.tokens;
    }
    steps.train.take(batches, 1e-3);
    std::vector<float> gradient;
    for (const auto& array : bert.store.named())
      for (const float g : bert.store.download(bert.store.grads(), array)) gradient.push_back(g);
    const LossSums losses = steps.train.take_losses();
    CHECK(steps.train.state().pass == (fgm > 0 ? 2 : 1));
    return std::tuple{gradient, losses.loss(), steps.train.grad_norm()};
  };
  for (const float fgm : {0.0f, 0.5f}) {
    const auto [expected, loss, norm] = train({whole}, {}, fgm);
    for (const int shards : {2, 3}) {
      std::vector<Batch> batches = parts;
      if (shards == 3) batches.emplace_back();  // without rows
      const auto [found, found_loss, found_norm] = train(batches, deal_shards(shards, 0, 1), fgm);
      CHECK(relative_difference(found, expected) < 1e-6);  // different summation order
      CHECK(found_loss == doctest::Approx(loss).epsilon(1e-6));
      CHECK(found_norm == doctest::Approx(norm).epsilon(1e-6));
    }
  }
}

TEST_CASE("step: FGM adds the gradient at the word embedding moved by epsilon along its own") {
  const Batch data = batch(2, Looked::config().vocabulary);
  Looked one, by_hand;
  StepResources resources(one.device, one.bert, Precision::fp32);
  TrainStep step(resources, {.seed = 5, .fgm_epsilon = 0.7f});
  step.take(data, 1e-3);
  const auto both = one.gradients();

  StepResources plain_resources(by_hand.device, by_hand.bert, Precision::fp32);
  TrainStep plain(plain_resources, {.seed = 5});
  ParameterStore& store = by_hand.bert.store;
  plain.take(data, 0);
  const double loss = plain.take_losses().loss();
  auto expected = by_hand.gradients();
  const auto word = store.named()[0];
  CHECK(word.name == "bert.embeddings.word_embeddings.weight");
  auto table = store.download(store.master_weights(), word);
  const auto gradient = store.download(store.grads(), word);
  double square = 0;
  for (float g : gradient) square += double(g) * g;
  for (size_t i = 0; i < table.size(); i++) table[i] += float(0.7 * gradient[i] / std::sqrt(square));
  store.upload(store.master_weights(), word, table);
  plain.take(data, 0);
  CHECK(plain.take_losses().loss() > loss);
  const auto second = by_hand.gradients();
  for (size_t i = 0; i < expected.size(); i++) expected[i] += second[i];
  CHECK(relative_difference(both, expected) < 1e-6);
  CHECK(relative_difference(second, expected) > 0.1);
  CHECK(step.take_losses().loss() == doctest::Approx(loss).epsilon(1e-6));  // reports the clean pass
  // The perturbation is undone: weights differ from the initial ones by Adam's step only.
  Looked fresh;
  const auto before = fresh.bert.store.download(fresh.bert.store.master_weights(), word),
             after = one.bert.store.download(one.bert.store.master_weights(), word);
  CHECK(largest_difference(after, before) <
        1.01e-3 * 0.1 / std::sqrt(0.001) * std::sqrt(1 - 0.999) / (1 - 0.9));

  CHECK_THROWS_AS(step.take(std::vector<Batch>{data, data}, 1e-3), std::logic_error);
}

TEST_CASE("step: a loss that is not finite, of FGM's pass alone as well, changes no weight") {
  const Batch data = batch(2, Looked::config().vocabulary);
  Looked model;
  const auto before = model.master_weights();
  StepResources resources(model.device, model.bert, Precision::fp32);
  TrainStep step(resources, {.seed = 5, .fgm_epsilon = INFINITY});
  step.take(data, 1e-3);
  CHECK(std::isfinite(step.take_losses().loss()));
  CHECK_FALSE(step.all_finite());
  CHECK(model.master_weights() == before);
}

TEST_CASE("step: a gradient that is not finite is reported, unless its step was skipped") {
  // A huge label with a finite loss; in backward, a LayerNorm with tiny input multiplies by 1/σ = 10⁶.
  Batch data = batch(2, Looked::config().vocabulary);
  data.target[0].other = data.target[0].token == token::no ? token::yes : token::no;
  data.target[0].other_weight = 1e36f;
  for (const float limit : {0.0f, 3.0f}) {
    Looked model;
    ParameterStore& store = model.bert.store;
    for (const auto& array : store.named())
      if (array.name == "cls.predictions.transform.dense.weight") {
        auto weights = store.download(store.master_weights(), array);
        for (float& w : weights) w *= 1e-6f;
        store.upload(store.master_weights(), array, weights);
      }
    store.round_weights();
    const auto before = model.master_weights();
    AdamOptions adam;
    adam.outlier_limit = limit;
    StepResources resources(model.device, model.bert, Precision::fp32);
    TrainStep step(resources, {.seed = 5, .adam = adam});
    CHECK(step.all_finite());
    step.take(data, 1e-3);
    CHECK(std::isfinite(step.take_losses().loss()));
    CHECK_FALSE(std::isfinite(step.grad_norm()));
    CHECK(step.all_finite() == (limit > 0));
    CHECK((model.master_weights() == before) == (limit > 0));
  }
}

TEST_CASE(
    "step: scores by a graph are those of the kernels sent one by one, and training between changes "
    "nothing") {
  BertConfig c;
  c.vocabulary = 90, c.layers = 1, c.hidden = 32, c.heads = 2, c.intermediate = 64, c.max_positions = 48;
  Device device;
  Bert bert(c);
  for (const Precision precision : {Precision::fp32, Precision::bf16}) {
    bert.store.allocate(device, precision);
    initialise(bert, 1, 0.1f);
    ModelSteps plain(device, bert, precision, {.seed = 5}, false),
        graphs(device, bert, precision, {.seed = 5});
    for (int pass = 0; pass < 3; pass++)
      for (int number : {0, 2}) {
        const Batch b = batch(number, c.vocabulary);
        CHECK(graphs.score.is_warm(b) == (pass > 1));
        const auto expected = plain.score.log_probabilities(b);
        CHECK(plain.score.is_warm(b));
        graphs.score.start(b);
        CHECK(graphs.score.finish() == expected);
        CHECK(expected[0] != expected[2]);
        if (pass == 1) graphs.train.take(batch(3, c.vocabulary), 1e-3);
      }
    CHECK(plain.resources.graphs.captured() == 0);
  }
}
