// End-to-end check of `inspect` against the reference program (tests/golden/README.md), from weights in every
// format to Adam steps.
#include "train/step/inspection.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "io/error.h"
#include "io/npz.h"
#include "tests/support/golden.h"
#include "tests/support/largest.h"
#include "tests/support/temporary.h"

using namespace warpbert;
using namespace warpbert::test;

namespace {

const std::string golden = golden_folder() + "/tiny/";

Options options(const TemporaryFolder& folder, const std::string& weights) {
  const std::string ini =
      folder.write("a.ini", fmt::format("[data]\ntrain = {0}pairs.tsv\ntest = {0}test.tsv\n"
                                        "counts = {0}counts.json\nvocab = {0}vocab.txt\n"
                                        "[model]\nweights = {0}{1}\n"
                                        "[train]\nprecision = fp32\nlr = 1e-3\n",
                                        golden, weights));
  return read_options(ini);
}

std::string write_batches(const TemporaryFolder& folder) {
  const auto reference = io::open_npz(golden + "golden.npz");
  std::vector<std::vector<int32_t>> values;
  std::vector<io::ArrayView> arrays;
  values.reserve(8);
  for (int k = 0; k < 4; k++)
    for (const auto& [ours, theirs] : {std::pair{"tokens", "token_ids"}, {"targets", "target_ids"}}) {
      const std::string name = fmt::format("batch{}/{}", k, theirs);
      values.push_back(reference->load<int32_t>(name));
      arrays.push_back(io::view(fmt::format("{}_{}", ours, k), reference->at(name).shape, values.back()));
    }
  io::write_npz(folder / "batch.npz", arrays);
  return folder / "batch.npz";
}

void compare(const std::string& path) {
  const auto out = io::open_npz(path), reference = io::open_npz(golden + "golden.npz");
  const auto ours = [&](const std::string& name) { return out->load<float>(name); };
  const auto theirs = [&](const std::string& name) { return reference->load<float>(name); };
  CHECK(largest_difference(ours("loss"), theirs("batch0/ce")) <= 5e-6);
  CHECK(out->at("logits").shape == std::vector<int64_t>{29, 137});
  CHECK(largest_difference(ours("logits"), theirs("batch0/logits")) <= 5e-5);

  CHECK(out->at("hidden").shape == std::vector<int64_t>{12, 35, 64});
  const auto hidden = ours("hidden");
  const auto tokens = reference->load<int32_t>("batch0/token_ids");
  std::vector<float> real, padding;
  for (size_t i = 0; i < hidden.size(); i++) (tokens[i / 64] ? real : padding).push_back(hidden[i]);
  CHECK(largest_difference(real, theirs("batch0/encoder_out")) <= 5e-5);
  CHECK(largest(padding) == 0);

  CHECK(largest_difference(ours("losses"), theirs("steps/ce")) <= 1e-5);
  int compared = 0;
  for (const auto& array : out->arrays()) {
    if (!array.name.starts_with("grad/") || array.name.ends_with("key.bias")) continue;  // true gradient 0
    INFO(array.name);
    CHECK(array.shape == reference->at(array.name).shape);
    CHECK(relative_difference(ours(array.name), theirs(array.name)) <= 1e-5);
    const std::string name = array.name.substr(5);
    CHECK(largest_difference(ours("param/" + name), theirs("step4/" + name)) <= 2e-5);
    compared++;
  }
  CHECK(compared == 40);
}

}  // namespace

TEST_CASE("inspect: the reference's numbers, from weights in every format") {
  TemporaryFolder folder;
  const std::string batches = write_batches(folder);
  std::string first;
  for (const char* weights :
       {"weights.hf.npz", "weights.tf.npz", "model.safetensors", "model.gamma_beta.safetensors"}) {
    INFO(weights);
    inspect(options(folder, weights), batches, folder / "out.npz", 4);
    compare(folder / "out.npz");
    if (first.empty()) first = contents(folder / "out.npz");
    CHECK(contents(folder / "out.npz") == first);
  }
}

TEST_CASE("inspect: without steps there are neither losses nor parameters, and dropout is off") {
  TemporaryFolder folder;
  const std::string batches = write_batches(folder);
  Options o = options(folder, "weights.hf.npz");
  inspect(o, batches, folder / "plain.npz", 0);
  const auto out = io::open_npz(folder / "plain.npz");
  CHECK(out->arrays().size() == 3 + 42);
  CHECK(!out->find("losses"));
  o.model.dropout = 0.5;
  inspect(o, batches, folder / "dropout.npz", 0);
  CHECK(contents(folder / "plain.npz") == contents(folder / "dropout.npz"));
}

TEST_CASE("inspect: keras_fill changes the steps, not the loss") {
  TemporaryFolder folder;
  const std::string batches = write_batches(folder);
  Options o = options(folder, "weights.hf.npz");
  o.train.epsilon = 1;  // makes the step depend on the gradient's scale
  inspect(o, batches, folder / "mean.npz", 1);
  o.loss.scale = LossScale::keras_fill;
  inspect(o, batches, folder / "fill.npz", 1);
  const auto mean = io::open_npz(folder / "mean.npz"), fill = io::open_npz(folder / "fill.npz");
  CHECK(mean->load<float>("losses") == fill->load<float>("losses"));
  CHECK(mean->load<float>("param/cls.predictions.bias") != fill->load<float>("param/cls.predictions.bias"));
}

TEST_CASE("inspect: a batch that does not fit the model is refused") {
  TemporaryFolder folder;
  const auto refused = [&](std::vector<int64_t> shape, std::vector<int32_t> tokens,
                           std::vector<int32_t> targets) {
    const std::string path = folder / "batch.npz";
    io::write_npz(path, std::vector<io::ArrayView>{
                            io::view("tokens_0", shape, tokens),
                            io::view("targets_0", {int64_t(targets.size()) / shape[1], shape[1]}, targets)});
    const std::string message = message_of<io::Error>(
        [&] { inspect(options(folder, "weights.hf.npz"), path, folder / "out.npz", 0); });
    return message.substr(std::min(message.size(), path.size()));
  };
  CHECK(refused({1, 3}, {2, 137, 3}, {5, 0, 0}) ==
        ": tokens_0 holds 137; the vocabulary has tokens 0 to 136");
  CHECK(refused({1, 3}, {2, 9, 3}, {-1, 0, 0}) == ": targets_0 holds -1; the vocabulary has tokens 0 to 136");
  CHECK(refused({1, 3}, {2, 9, 3}, {0, 0, 0}) == ": targets_0 has no target");
  CHECK(refused({1, 3}, {2, 0, 3}, {5, 0, 0}).starts_with(": tokens_0: "));
  CHECK(refused({2, 3}, {2, 9, 3, 2, 9, 3}, {5, 0, 0}) ==
        ": tokens_0 [2, 3] and targets_0 [1, 3]: two arrays [B, T] were expected");
  std::vector<int32_t> longest(65, 9), one(65, 0);
  one[0] = 5;
  CHECK(refused({1, 65}, longest, one) == ": tokens_0 has a row of 65 tokens; the model has 64 positions");
}
