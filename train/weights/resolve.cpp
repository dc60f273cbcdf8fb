#include "resolve.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <stdexcept>
#include <utility>

#include "engine/process_group.h"
#include "io/error.h"
#include "io/text_file.h"

namespace warpbert {

namespace fs = std::filesystem;

// ---- Model ------------------------------------------------------------------------------------------------

// First of model.config, `__meta__` with heads, a configuration beside the weights.
static PublishedConfig find_published_config(const ModelOptions& options, const Pretrained& weights) {
  if (!options.config.empty())
    return read_published_config(io::read_text(options.config), options.config, weights);
  if (!weights.meta().empty()) {
    const PublishedConfig config =
        read_published_config(weights.meta(), weights.path() + ": __meta__", weights);
    if (config.heads) return config;
  }
  for (const char* name : {"bert_config.json", "config.json"}) {
    const std::string beside = fs::path(weights.path()).parent_path() / name;
    if (fs::exists(beside)) return read_published_config(io::read_text(beside), beside, weights);
  }
  return {};
}

static void check_heads(BertConfig shape, const PublishedConfig& config) {
  shape.heads = config.heads;
  try {
    shape.check();
  } catch (const std::invalid_argument& error) {
    io::fail("{}: {} heads: {}; if that is the wrong number, set model.heads", config.what, config.heads,
             error.what());
  }
}

ResolvedOptions resolve_model(const Options& typed, const Pretrained* weights) {
  ResolvedOptions resolved{typed, 0, {}};
  ModelOptions& model = resolved.model;
  if (weights) {
    const BertConfig shape = weights->shape();
    model.layers = shape.layers, model.hidden = shape.hidden, model.intermediate = shape.intermediate;
    model.max_positions = shape.max_positions;
    const PublishedConfig config = find_published_config(model, *weights);
    resolved.real_rows = config.vocabulary;
    resolved.warnings = config.warnings;
    if (!model.heads && config.heads) {
      model.heads = config.heads;
      check_heads(shape, config);
    }
    if (!model.layer_norm_epsilon) model.layer_norm_epsilon = config.layer_norm_epsilon;
    if (!model.heads) {
      model.heads = std::max(model.hidden / 64, 1);
      resolved.warnings.push_back(
          fmt::format("{}: no configuration names the number of heads; hidden/64 = {} is a guess, and a "
                      "wrong one makes a "
                      "wrong model: set model.heads or model.config",
                      model.weights, model.heads));
    }
  }
  if (!model.intermediate) model.intermediate = 4 * model.hidden;
  if (!model.heads) model.heads = std::max(model.hidden / 64, 1);
  if (!model.layer_norm_epsilon) model.layer_norm_epsilon = 1e-12;
  return resolved;
}

// ---- Run --------------------------------------------------------------------------------------------------

static void resolve_shards(TrainOptions& train, int saved) {
  const int processes = ProcessGroup::world().size();
  if (!train.shards) train.shards = saved ? saved : processes;
  if (train.shards % processes)
    throw UsageError(
        fmt::format("train.shards = {}: {} processes cannot share them; start as many as divide {}",
                    train.shards, processes, train.shards));
  if (train.shards > train.batch)
    throw UsageError(fmt::format("train.shards = {}: a step has only train.batch = {} pairs to share",
                                 train.shards, train.batch));
}

// A Hugging Face folder as model.weights brings its vocabulary.
static void take_vocabulary_of_folder(Options& options) {
  const fs::path folder = options.model.weights;
  if (!is_directory(folder)) return;
  for (const char* name : {"vocab.txt", "tokenizer.json"})
    if (options.data.vocab.empty() && exists(folder / name)) options.data.vocab = folder / name;
}

// Weights and data must have the same kind of input, with a known vocabulary.
static void check_input(const Options& options, const Pretrained& weights) {
  const DataOptions& data = options.data;
  if (weights.vocabulary() && bool(weights.vocabulary()->text()) != data.text)
    throw UsageError(fmt::format("data.text = {}, but {} was trained on {}", data.text, weights.path(),
                                 data.text ? "ids" : "plain text"));
  if (data.text && data.vocab.empty())
    throw UsageError(fmt::format("data.vocab: missing; the folder of {} has no vocab.txt", weights.path()));
  if (weights.vocabulary() || data.text) return;
  for (const auto& [key, path] : {std::pair{"data.vocab", data.vocab}, {"data.counts", data.counts}})
    if (path.empty())
      throw UsageError(
          fmt::format("{}: missing; {} does not hold the data's ids. The tokens of a published BERT are "
                      "aligned to them by frequency; a run's model is best.npz, not what export wrote",
                      key, weights.path()));
}

ResolvedOptions resolve_run(const Options& typed, const Pretrained* weights, int saved_shards) {
  Options options = typed;
  resolve_shards(options.train, saved_shards);
  if (weights) {
    take_vocabulary_of_folder(options);
    options.model.weights = weights->path();
    if (!weights->has_head() && options.model.mlm_head == MlmHead::archive)
      io::fail(
          "{}: has no masked-language head (cls.predictions.*), and the recipe predicts with it; set "
          "model.mlm_head = fresh to start with a new one",
          weights->path());
  }
  ResolvedOptions resolved = resolve_model(options, weights);
  const DataOptions& data = resolved.data;
  const ModelOptions& model = resolved.model;
  if (model.max_positions < data.max_tokens + 3)
    throw UsageError(fmt::format(
        "model.max_positions = {}: pairs of data.max_tokens = {} tokens and three special ones need {}",
        model.max_positions, data.max_tokens, data.max_tokens + 3));
  if (weights) check_input(resolved, *weights);
  if (resolved.train.final_lr > 0 && resolved.train.schedule == Schedule::constant)
    resolved.warnings.push_back(
        "train.final_lr is not used: the learning rate of train.schedule = constant does not fall; linear "
        "and cosine lead there");
  if (!weights)
    for (const auto& [key, path] : {std::pair{"data.counts", data.counts}, {"model.config", model.config}})
      if (!path.empty())
        resolved.warnings.push_back(
            fmt::format("{} is not used: without model.weights the first weights are random", key));
  return resolved;
}

}  // namespace warpbert
