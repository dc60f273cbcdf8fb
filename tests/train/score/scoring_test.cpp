// Checks scores of several models and both orders against the formula per pair, model and order; and the
// lookup of trained models.
#include "train/score/scoring.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>

#include "io/error.h"
#include "tests/support/pairs.h"
#include "tests/support/temporary.h"
#include "train/score/metrics.h"
#include "train/step/session.h"
#include "train/weights/model_file.h"
#include "train/weights/names.h"

using namespace warpbert;
using namespace warpbert::test;

namespace {

constexpr int rows = 7, batch = 3;  // the last batch is partial

Options options_of(int layers, int max_tokens) {
  Options o;
  o.data.train = "/absent/pairs.tsv";
  o.data.max_tokens = max_tokens;
  o.model.layers = layers, o.model.hidden = 32, o.model.heads = 2, o.model.intermediate = 48;
  o.model.max_positions = 24, o.model.layer_norm_epsilon = 1e-12;
  o.train.precision = Precision::fp32;
  o.predict.batch = batch, o.predict.score = Score::sigmoid;
  o.run.directory = "/absent", o.run.threads = 1;
  return o;
}

// A random model, its vocabulary, and scores of one row truncated to data.max_tokens.
struct Model {
  Options options;
  Vocabulary vocabulary;
  Device device{1};
  Bert bert;

  Model(const Options& o, std::vector<int64_t> ids, uint64_t seed)
      : options(o), vocabulary(std::move(ids)), bert(bert_config(o.model, vocabulary.size())) {
    bert.store.allocate(device, o.train.precision, false);
    initialise(bert, seed, 0.3f);
  }
  void save(const std::string& run) {
    std::filesystem::create_directories(run);
    std::ofstream(run + "/config.ini") << config_text(options);
    save_model(run + "/best.npz", bert, vocabulary);
  }
  std::pair<float, float> log_p(io::Pairs pairs, int row, bool swap) {
    truncate(pairs, options.data.max_tokens);
    StepResources resources(device, bert, options.train.precision);
    ScoreStep step(resources);
    const std::vector<Example> one{{row, io::no_label}};
    const auto p = step.log_probabilities(evaluation_batch(vocabulary.encode(pairs), one, 1, swap));
    return {p[0], p[1]};
  }
};

std::vector<int64_t> ids(int64_t from, int64_t to) {
  std::vector<int64_t> all;
  for (int64_t id = from; id < to; id++) all.push_back(id);
  return all;
}

struct Models {
  TemporaryFolder folder;
  Model one{options_of(1, 9), ids(0, 30), 1}, two{options_of(2, 20), ids(10, 35), 2},
      three{options_of(1, 20), ids(3, 40), 3};
  std::vector<std::string> runs{folder / "one", folder / "two", folder / "three"};
  io::Pairs pairs = random_pairs(rows, 40, 10, 5);
  Models() { one.save(runs[0]), two.save(runs[1]), three.save(runs[2]); }
  std::vector<Model*> models() { return {&one, &two, &three}; }
};

io::Pairs exchanged(const io::Pairs& pairs) {
  io::Pairs other;
  for (size_t row = 0; row < pairs.size(); row++)
    add(other, Ids(pairs.b(row).begin(), pairs.b(row).end()), Ids(pairs.a(row).begin(), pairs.a(row).end()));
  return other;
}

template <class Expected>
std::string refusal(const std::string& path, std::vector<Override> overrides = {}) {
  return message_of<Expected>([&] { Ensemble({path}, overrides).score({random_pairs(2, 20, 5, 1)}); });
}

}  // namespace

TEST_CASE("scoring: the mean of logit differences over models and orders, in double") {
  Models m;
  for (const bool swap : {false, true}) {
    for (size_t models : {1, 2, 3}) {
      CAPTURE(swap);
      CAPTURE(models);
      const std::vector<std::string> runs(m.runs.begin(), m.runs.begin() + long(models));
      const std::string yes_no = swap ? "true" : "false";
      const auto sigmoid = Ensemble(runs, {{"predict.swap", yes_no}}).score({m.pairs});
      const auto ratio =
          Ensemble(runs, {{"predict.swap", yes_no}, {"predict.score", "ratio"}}).score({m.pairs});
      REQUIRE(sigmoid.size() == rows);
      REQUIRE(ratio.size() == rows);
      for (int row = 0; row < rows; row++) {
        double difference = 0, log_no = 0, log_yes = 0;
        for (size_t k = 0; k < models; k++) {
          for (int order = 0; order <= int(swap); order++) {
            const auto [no, yes] = m.models()[k]->log_p(m.pairs, row, order);
            const double share = 1 / double(models) / (1 + int(swap));
            difference += share * (double(yes) - no), log_no += share * no, log_yes += share * yes;
          }
        }
        // log p (around 3) varies by about 10⁻⁶ with the batch; p by a quarter of that.
        CHECK(std::abs(sigmoid[row] - 1 / (1 + std::exp(-difference))) < 1e-6);
        const double no = std::exp(log_no), yes = std::exp(log_yes);
        CHECK(std::abs(ratio[row] - yes / (no + yes + 1e-8)) < 1e-6);
      }
    }
  }
}

TEST_CASE("scoring: the models of the test differ, and so do the orders") {
  Models m;
  const auto one = Ensemble({m.runs[0]}, {}).score({m.pairs}),
             two = Ensemble({m.runs[1]}, {}).score({m.pairs});
  const auto both = Ensemble({m.runs[0]}, {{"predict.swap", "true"}}).score({m.pairs});
  for (int row = 0; row < rows; row++) {
    CHECK(std::abs(one[row] - two[row]) > 1e-4);
    CHECK(std::abs(one[row] - both[row]) > 1e-5);
  }
}

TEST_CASE("scoring: one model without options gives the bits of its own log p") {
  Models m;
  StepResources resources(m.two.device, m.two.bert, Precision::fp32);
  ScoreStep step(resources);
  const TokenPairs tokens = m.two.vocabulary.encode(m.pairs);
  const std::vector<Example> examples = all_examples(m.pairs);
  for (const Score score : {Score::ratio, Score::sigmoid}) {
    const auto found = Ensemble({m.runs[1]}, {{"predict.score", score == Score::ratio ? "ratio" : "sigmoid"}})
                           .score({m.pairs});
    std::vector<float> expected;
    for (size_t first = 0; first < rows; first += batch) {
      const auto part = std::span(examples).subspan(first, std::min<size_t>(batch, rows - first));
      const auto p = step.log_probabilities(evaluation_batch(tokens, part, batch));
      for (size_t i = 0; i < part.size(); i++)
        expected.push_back(score == Score::ratio ? ratio_score(p[2 * i], p[2 * i + 1])
                                                 : sigmoid_score(p[2 * i], p[2 * i + 1]));
    }
    CHECK(found == expected);
  }
}

TEST_CASE(
    "scoring: a model named thrice is itself, and with swap the order of sentences does not matter, to the "
    "bit") {
  Models m;
  const std::string run = m.runs[1];  // its max_tokens truncates nothing
  const std::vector<Override> swap{{"predict.swap", "true"}};
  const auto once = Ensemble({run}, swap).score({m.pairs});
  CHECK(Ensemble({run, run, run}, swap).score({m.pairs}) == once);
  CHECK(Ensemble({run}, swap).score({exchanged(m.pairs)}) == once);
  CHECK(Ensemble({run}, {}).score({exchanged(m.pairs)}) != Ensemble({run}, {}).score({m.pairs}));
}

TEST_CASE("scoring: one by one, the bits of batches of one pair, and the batches' own except for rounding") {
  Models m;
  for (const bool swap : {false, true})
    for (const size_t models : {1, 3})
      for (const char* precision : {"fp32", "bf16"}) {
        CAPTURE(swap);
        CAPTURE(models);
        CAPTURE(precision);
        const std::vector<std::string> runs(m.runs.begin(), m.runs.begin() + long(models));
        std::vector<Override> overrides{{"predict.swap", swap ? "true" : "false"},
                                        {"train.precision", precision}};
        const Latencies latencies = Ensemble(runs, overrides).score_one_by_one({m.pairs});
        CHECK(latencies.ms.size() == rows);
        for (const double ms : latencies.ms) CHECK(ms > 0);
        CHECK(latencies.warm_ups >= 1);
        CHECK(latencies.warm_ups < rows);  // some pairs share a bucket
        CHECK(latencies.warm_up_ms > 0);
        overrides.push_back({"run.graphs", "false"});
        CHECK(Ensemble(runs, overrides).score_one_by_one({m.pairs}).scores == latencies.scores);
        const auto batches = Ensemble(runs, overrides).score({m.pairs});
        overrides.push_back({"predict.batch", "1"});
        CHECK(Ensemble(runs, overrides).score({m.pairs}) == latencies.scores);
        // A GEMM with other m may sum in another order; bf16 then rounds a few values differently.
        const float tolerance = precision == std::string("fp32") ? 1e-6f : 2e-2f;
        for (int row = 0; row < rows; row++)
          CHECK(std::abs(latencies.scores[row] - batches[row]) < tolerance);
      }
}

TEST_CASE("scoring: the table of latencies, percentiles by nearest rank") {
  Latencies latencies;
  for (int ms = 200; ms > 0; ms--) latencies.ms.push_back(ms);
  latencies.warm_ups = 3, latencies.warm_up_ms = 12.3456;
  CHECK(latency_table(latencies) ==
        "pairs           200, one by one\n"
        "warm-up      12.346 ms before the first pair of each of 3 buckets, not counted below\n"
        "p50         100.000 ms\n"
        "p90         180.000 ms\n"
        "p99         198.000 ms\n"
        "max         200.000 ms\n"
        "mean        100.500 ms\n");
  latencies.ms = {2, 1, 4};
  latencies.warm_ups = 1;
  CHECK(latency_table(latencies) ==
        "pairs             3, one by one\n"
        "warm-up      12.346 ms before the first pair of its bucket, not counted below\n"
        "p50           2.000 ms\n"
        "p90           4.000 ms\n"
        "p99           4.000 ms\n"
        "max           4.000 ms\n"
        "mean          2.333 ms\n");
}

TEST_CASE("scoring: each run keeps its own swap, and runs that differ in predict.score are refused") {
  Models m;
  m.one.options.predict.swap = true;
  m.one.save(m.runs[0]);
  const auto mixed = Ensemble({m.runs[0], m.runs[1]}, {}).score({m.pairs});
  const auto [no, yes] = m.one.log_p(m.pairs, 0, false);
  const auto [no_swapped, yes_swapped] = m.one.log_p(m.pairs, 0, true);
  const auto [no_two, yes_two] = m.two.log_p(m.pairs, 0, false);
  const double d = ((double(yes) - no + yes_swapped - no_swapped) / 2 + double(yes_two) - no_two) / 2;
  CHECK(std::abs(mixed[0] - 1 / (1 + std::exp(-d))) < 1e-6);
  m.two.options.predict.score = Score::ratio;
  m.two.save(m.runs[1]);
  CHECK(message_of<UsageError>([&] { Ensemble(m.runs, {}); }) ==
        m.runs[0] + " and " + m.runs[1] + " differ in predict.score; set --predict.score");
  CHECK(Ensemble(m.runs, {{"predict.score", "ratio"}}).size() == 3);
}

TEST_CASE("scoring: a model may be a run, a model file of it, or an exported folder, with the same bits") {
  Models m;
  const std::string run = m.runs[0];
  const auto expected = Ensemble({run}, {}).score({m.pairs});
  std::filesystem::create_directory(run + "/models");
  std::filesystem::copy(run + "/best.npz", run + "/models/epoch-0007.npz");
  std::filesystem::copy(run + "/best.npz", run + "/mean.npz");
  CHECK(Ensemble({run + "/models/epoch-0007.npz"}, {}).score({m.pairs}) == expected);
  CHECK(Ensemble({run + "/mean.npz"}, {}).score({m.pairs}) == expected);

  const std::string hf = m.folder / "hf";
  export_model(hf, m.one.bert, m.one.vocabulary, m.one.options);
  CHECK(Ensemble({hf}, {}).score({m.pairs}) == expected);  // uses its run's options
  CHECK(find_model(hf, {{"data.max_tokens", "20"}}).options.data.max_tokens == 20);
  nlohmann::json tokenizer = nlohmann::json::parse(std::ifstream(hf + "/tokenizer_config.json"));
  CHECK(tokenizer["warpbert"]["predict.score"] == "sigmoid");
  tokenizer["warpbert"]["data.max_tokens"] = 9;
  std::ofstream(hf + "/tokenizer_config.json") << tokenizer;
  CHECK(refusal<io::Error>(hf) == hf + "/tokenizer_config.json: warpbert: data.max_tokens is no string");
  for (const auto& [key, value, message] :
       {std::tuple{"run.threads", "99", "'run.threads' is none of the options that export writes"},
        {"threshold", "1.5", "threshold: '1.5' is not a number in [0, 1]"},
        {"threshold", "nan", "threshold: 'nan' is not a number in [0, 1]"}}) {
    tokenizer["warpbert"] = {{key, value}};
    std::ofstream(hf + "/tokenizer_config.json") << tokenizer;
    CHECK(refusal<io::Error>(hf) == hf + "/tokenizer_config.json: warpbert: " + message);
  }

  // A finished run needs none of its training inputs.
  m.one.options.model.config = "/absent/bert_config.json",
  m.one.options.model.weights = "/absent/weights.npz";
  m.one.save(run);
  CHECK(Ensemble({run}, {}).score({m.pairs}) == expected);
}

TEST_CASE("scoring: what is missing or damaged is named") {
  Models m;
  const std::string run = m.runs[0], hf = m.folder / "hf", file = m.folder / "alone.npz";
  CHECK(refusal<io::Error>(m.folder / "absent") ==
        m.folder / "absent: not found; --run needs the folder of a run");
  CHECK(refusal<io::Error>(m.folder / "").find("config.ini: not found") != std::string::npos);
  std::filesystem::copy(run + "/best.npz", file);
  CHECK(refusal<io::Error>(file).starts_with(file + ": no config.ini beside it or in the folder above"));
  CHECK(refusal<UsageError>(run, {{"data.max_tokens", "22"}}) ==
        "data.max_tokens = 22: such pairs and three special tokens need 25 positions; " + run + " has 24");
  CHECK(refusal<UsageError>(run, {{"data.max_tokens", "21"}}).empty());

  const auto vocabulary_refused = [&](const std::string& text) {
    std::ofstream(hf + "/vocab.txt") << text;
    std::string message = refusal<io::Error>(hf, {{"data.max_tokens", "9"}});
    REQUIRE(message.starts_with(hf + "/vocab.txt: "));
    return message.substr(hf.size() + 12);
  };
  const std::string special = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n[NO]\n[YES]\n";
  export_model(hf, m.one.bert, m.one.vocabulary, m.one.options);
  CHECK(vocabulary_refused("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n[YES]\n[NO]\n1\n")
            .starts_with("line 6: [NO] was"));
  CHECK(vocabulary_refused("[PAD]\n[UNK]\n").starts_with("line 3: [CLS] was expected"));
  CHECK(vocabulary_refused(special + "1\nword\n").starts_with("line 9: 'word' is no id"));
  CHECK(vocabulary_refused(special + "1\n-2\n").starts_with("line 9: '-2' is no id"));
  CHECK(vocabulary_refused(special + "7\n07\n") == "vocabulary: id 7 twice");
  CHECK(vocabulary_refused(special + "1\n2\n").starts_with("9 tokens, but the word embedding of "));
  for (const char* name : {"/vocab.txt", "/config.json"}) {
    std::filesystem::remove(hf + name);
    std::filesystem::remove(hf + "/tokenizer.json");  // replaces vocab.txt
    CHECK(refusal<io::Error>(hf) == hf + name + ": not found; a folder that export wrote has it");
    export_model(hf, m.one.bert, m.one.vocabulary, m.one.options);
  }

  const auto arrays = m.one.bert.store.named();
  const auto array =
      *std::find_if(arrays.begin(), arrays.end(), [](auto& a) { return a.name == name::output_bias; });
  auto values = m.one.bert.store.download(m.one.bert.store.master_weights(), array);
  values[6] = std::numeric_limits<float>::quiet_NaN();  // the bias of [YES]
  m.one.bert.store.upload(m.one.bert.store.master_weights(), array, values);
  m.one.save(run);
  CHECK(refusal<io::Error>(run) == run + "/best.npz: cls.predictions.bias has a value that is not finite");
  for (const auto& a : arrays) {  // finite weights whose products overflow
    if (!a.name.ends_with("LayerNorm.weight")) continue;
    m.one.bert.store.upload(m.one.bert.store.master_weights(), a, std::vector<float>(a.size, 3e38f));
  }
  values[6] = 0;
  m.one.bert.store.upload(m.one.bert.store.master_weights(), array, values);
  m.one.save(run);
  CHECK(refusal<std::runtime_error>(run) ==
        run + "/best.npz: the score of row 1 is not a number; the model is damaged");
}
