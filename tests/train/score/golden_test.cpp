// Reproduces the reference program (TensorFlow 1.15, Keras 2.3.1, bert4keras 0.10.0): hidden states, logits,
// loss, all gradients, and four Adam steps. tests/golden/README.md describes the arrays.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "io/npz.h"
#include "tests/support/golden.h"
#include "tests/support/largest.h"
#include "tests/support/measures.h"
#include "train/data/vocabulary.h"
#include "train/score/metrics.h"
#include "train/score/scoring.h"
#include "train/step/model_steps.h"

using namespace warpbert;
using test::largest_difference, test::relative_difference;

namespace {

const std::string folder = golden_folder() + "/tiny/";

struct Golden {
  std::unique_ptr<io::Archive> golden = io::open_npz(folder + "golden.npz"),
                               weights = io::open_npz(folder + "weights.hf.npz");
  Device device;
  Bert bert;

  static BertConfig config() {
    BertConfig c;
    c.vocabulary = 137, c.layers = 2, c.hidden = 64, c.heads = 4, c.intermediate = 256, c.max_positions = 64,
    c.dropout = 0;
    return c;
  }

  // step0: initial weights; variant: step0 with other [NO] and [YES] rows; step4: after four steps.
  explicit Golden(Precision precision, const std::string& when = "step0") : bert(config()) {
    ParameterStore& store = bert.store;
    store.allocate(device, precision);
    for (const auto& array : store.named()) {
      const bool words = array.name.ends_with("word_embeddings.weight"),
                 bias = array.name == "cls.predictions.bias";
      std::vector<float> values;
      if (when == "step4") values = golden->load<float>("step4/" + array.name);
      else if (words) values = golden->load<float>("aligned/word_embeddings");
      else if (bias) values = golden->load<float>("aligned/output_bias");
      else values = weights->load<float>(array.name);
      if (when == "variant" && (words || bias)) {
        const auto rows = golden->load<float>(words ? "variant/no_yes_rows" : "variant/no_yes_bias");
        std::copy(rows.begin(), rows.end(), values.begin() + token::no * (words ? 64 : 1));
      }
      store.upload(store.master_weights(), array, values);
    }
    store.round_weights();
  }

  Batch batch(int k) {
    const std::string prefix = "batch" + std::to_string(k) + "/";
    const auto& shape = golden->at(prefix + "token_ids").shape;
    return packed_batch(golden->load<int32_t>(prefix + "token_ids"),
                        golden->load<int32_t>(prefix + "target_ids"), int(shape[0]), int(shape[1]));
  }
};

// The key bias has gradient 0, as softmax is invariant to a shift of all keys; only rounding remains.
bool key_bias(const std::string& name) { return name.ends_with("key.bias"); }

// bf16: 3 % of an array's largest value covers about ten roundings of 2⁻⁸ that partly cancel; a missing term
// is far larger.
struct Tolerance {
  double hidden, logits, ce, gradient;
};
Tolerance tolerance(Precision p) {
  return p == Precision::bf16 ? Tolerance{0.06, 0.06, 0.01, 0.03} : Tolerance{5e-5, 5e-5, 5e-6, 1e-5};
}

}  // namespace

TEST_CASE("golden: hidden states, logits and loss of four batches") {
  for (Precision precision : {Precision::fp32, Precision::bf16}) {
    Golden g(precision);
    const auto tol = tolerance(precision);
    const DType dtype = precision == Precision::bf16 ? DType::bf16 : DType::f32;
    Gemm gemm(g.device, precision);
    Arena arena(g.device, true);
    for (int k = 0; k < 4; k++) {
      const Batch batch = g.batch(k);
      const std::string prefix = "batch" + std::to_string(k) + "/";
      DeviceBatch on_device(g.device);
      on_device.upload(batch, 64);
      const Targets& targets = on_device.targets();
      arena.reset();
      Tape tape(g.device, gemm, arena, dtype);
      Tensor hidden = encode(tape, g.bert, on_device.packing());
      Tensor logits = masked_language_model(tape, g.bert, gather(tape, hidden, targets.index, targets.rows));

      std::vector<float> host(size_t(logits.capacity()) * logits.cols());
      g.device.download(host.data(), logits.data<float>(), host.size() * sizeof(float));
      const auto bias = g.golden->load<float>("aligned/output_bias");
      std::vector<float> real;
      for (int m = 0; m < batch.targets; m++)
        for (int c = 0; c < 137; c++) real.push_back(host[size_t(m) * logits.cols() + c] + bias[c]);
      const double d = largest_difference(real, g.golden->load<float>(prefix + "logits"));
      CHECK(d <= tol.logits);
      MESSAGE("batch ", k, dtype == DType::bf16 ? " bf16" : " fp32", ": logits differ by at most ", d);

      std::vector<float> states(size_t(batch.tokens) * 64);
      if (dtype == DType::f32) {
        g.device.download(states.data(), hidden.data<float>(), states.size() * sizeof(float));
      } else {
        std::vector<bf16> rounded(states.size());
        g.device.download(rounded.data(), hidden.data<bf16>(), rounded.size() * sizeof(bf16));
        std::transform(rounded.begin(), rounded.end(), states.begin(), [](bf16 x) { return to_float(x); });
      }
      CHECK(largest_difference(states, g.golden->load<float>(prefix + "encoder_out")) <= tol.hidden);

      float* loss = cross_entropy(tape, logits, *g.bert.output_bias, targets.targets, targets.scale, 137);
      std::vector<float> losses(targets.rows.capacity);
      g.device.download(losses.data(), loss, losses.size() * sizeof(float));
      double mean = 0;
      for (float l : losses) mean += l / double(batch.targets);
      CHECK(std::abs(mean - g.golden->load<float>(prefix + "ce")[0]) <= tol.ce);
    }
  }
}

TEST_CASE("golden: the gradient of every parameter") {
  for (Precision precision : {Precision::fp32, Precision::bf16}) {
    Golden g(precision);
    Gemm gemm(g.device, precision);
    Arena arena(g.device, true);
    const Batch batch = g.batch(0);
    DeviceBatch on_device(g.device);
    PassRecord record;
    record.scale = 1.0f / float(batch.targets);
    on_device.upload(batch, 64, record);
    arena.reset();
    Tape tape(g.device, gemm, arena, precision == Precision::bf16 ? DType::bf16 : DType::f32);
    g.bert.store.start_step();
    pair_matching_loss(tape, g.bert, on_device.packing(), on_device.targets());
    tape.backward();
    g.bert.store.finish_backward();
    double worst = 0;
    int compared = 0;
    for (const auto& array : g.bert.store.named()) {
      if (key_bias(array.name)) continue;
      const auto ours = g.bert.store.download(g.bert.store.grads(), array);
      const auto theirs = g.golden->load<float>("grad/" + array.name);
      const double d = relative_difference(ours, theirs);
      INFO(array.name, ": ", d, " of the largest");
      CHECK(d <= tolerance(precision).gradient);
      worst = std::max(worst, d), compared++;
    }
    CHECK(compared == 40);
    MESSAGE("in ", precision == Precision::bf16 ? "bf16" : "fp32", ": gradients differ by at most ", worst,
            " of each array's largest");
  }
}

TEST_CASE("golden: keras_fill scales loss and gradient by the share of real tokens") {
  Golden g(Precision::fp32);
  double norm[2];
  for (bool fill : {false, true}) {
    ModelSteps steps(g.device, g.bert, Precision::fp32, {.keras_fill = bool(fill)});
    steps.train.take(g.batch(0), 0);
    norm[fill] = steps.train.grad_norm();
  }
  CHECK(norm[1] / norm[0] == doctest::Approx(g.golden->load<float>("batch0/fill")[0]).epsilon(1e-5));
}

TEST_CASE("golden: scores and AUC, from the files to the figure") {
  const Dataset set =
      make_dataset(io::read_pairs(folder + "pairs.tsv"), io::read_pairs(folder + "test.tsv"), 32, 10);
  const Vocabulary vocabulary(set.pairs, 5);
  const TokenPairs tokens = vocabulary.encode(set.pairs);
  for (const std::string when : {"step0", "variant", "step4"}) {
    INFO(when);
    Golden g(Precision::fp32, when);
    StepResources resources(g.device, g.bert, Precision::fp32);
    ScoreStep step(resources);
    const auto scores = [&](const std::vector<Example>& rows) {
      return warpbert::scores(log_probabilities(step, tokens, rows, {}), PredictOptions().score);
    };
    const auto valid = scores(set.validation);
    CHECK(largest_difference(valid, g.golden->load<float>("valid/score_" + when)) <= 1e-5);
    CHECK(largest_difference(scores(set.test), g.golden->load<float>("test/score_" + when)) <= 1e-5);
    std::vector<float> labels;
    for (const Example& row : set.validation) labels.push_back(row.label);
    // At step 0 [NO] and [YES] share one row, so all scores tie and AUC is meaningless.
    if (when != "step0")
      CHECK(test::auc(valid, labels).value() ==
            doctest::Approx(g.golden->load<float>("valid/auc_" + when)[0]).epsilon(1e-6));
  }
}

TEST_CASE("golden: four Adam steps") {
  Golden g(Precision::fp32);
  AdamOptions adam;  // Keras defaults: 0.9, 0.999, 1e-7
  ModelSteps steps(g.device, g.bert, Precision::fp32, {.adam = adam});
  for (int t = 1; t <= 4; t++) {
    steps.train.take_losses();
    steps.train.take(g.batch(t - 1), 1e-3);
    CHECK(steps.train.take_losses().loss() ==
          doctest::Approx(g.golden->load<float>("steps/ce")[t - 1]).epsilon(1e-5));
    double worst = 0;
    for (const auto& array : g.bert.store.named()) {
      if (key_bias(array.name)) continue;
      const auto ours = g.bert.store.download(g.bert.store.master_weights(), array);
      const double d =
          largest_difference(ours, g.golden->load<float>("step" + std::to_string(t) + "/" + array.name));
      INFO("step ", t, ", ", array.name, ": ", d);
      CHECK(d <= 2e-5);  // Adam amplifies rounding where |g| is near ε
      worst = std::max(worst, d);
    }
    MESSAGE("step ", t, ": parameters differ by at most ", worst);
  }
  CHECK(steps.train.all_finite());
}
