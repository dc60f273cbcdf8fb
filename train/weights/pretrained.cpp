#include "pretrained.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <numeric>
#include <set>

#include "io/error.h"
#include "io/text.h"
#include "names.h"

namespace warpbert {

namespace fs = std::filesystem;

static bool in_head(const std::string& name) { return name.starts_with("cls.predictions."); }

Pretrained::Pretrained(const std::string& path) : archive_(io::open_archive(path)) {
  archive_->verify();
  recognise();
  check_shapes();
  if (archive_->find(name::meta)) {
    const auto text = archive_->load<uint8_t>(name::meta);
    meta_.assign(text.begin(), text.end());
  }
  vocabulary_ = load_vocabulary(*archive_);
  if (vocabulary_ && vocabulary_->size() != shape_.vocabulary)
    io::fail("{}: vocab/cipher_ids has {} ids, but the word embedding has {} rows; {} were expected", path,
             vocabulary_->cipher_ids().size(), shape_.vocabulary, vocabulary_->size());
}

void Pretrained::recognise() {
  for (const auto& array : archive_->arrays()) {
    const CanonicalName canonical = canonical_name(array.name);
    if (canonical.name.empty()) {
      ignored_.push_back(array.name);
      continue;
    }
    const auto [place, is_new] = sources_.insert({canonical.name, {array.name, canonical.transposed}});
    if (!is_new)
      io::fail("{}: '{}' and '{}' are two names of one array", path(), place->second.name, array.name);
    if (canonical.transposed && array.shape.size() != 2)
      io::fail("{}: {} has shape {}; a matrix was expected", path(), array.name, io::shape_text(array.shape));
  }
}

// Shape as [out, in]; {} if the array is missing.
std::vector<int64_t> Pretrained::canonical_shape(const std::string& name) const {
  const auto found = sources_.find(name);
  if (found == sources_.end()) return {};
  auto shape = archive_->at(found->second.name).shape;
  if (found->second.transposed) std::swap(shape[0], shape[1]);
  return shape;
}

void Pretrained::check_shapes() {
  const auto matrix = [&](const std::string& name) {
    const auto shape = canonical_shape(name);
    if (shape.size() != 2)
      io::fail(
          "{}: no pretrained BERT: {} '{}'{}", path(), shape.empty() ? "there is no" : "no matrix is", name,
          archive_->arrays().empty() ? ""
                                     : fmt::format("; its first array is '{}'", archive_->arrays()[0].name));
    return shape;
  };
  const auto words = matrix(name::word_embeddings);
  shape_.vocabulary = int(words[0]), shape_.hidden = int(words[1]);
  shape_.max_positions = int(matrix("bert.embeddings.position_embeddings.weight")[0]);
  shape_.intermediate = int(matrix("bert.encoder.layer.0.intermediate.dense.weight")[0]);
  // Some exports keep only this copy of the output bias.
  if (const auto copy = sources_.find(name::decoder_bias); copy != sources_.end())
    sources_.insert({name::output_bias, copy->second});
  shape_.layers = 0;
  for (const auto& [name, source] : sources_) {
    int layer = 0, end = 0;
    if (std::sscanf(name.c_str(), "bert.encoder.layer.%9d.%n", &layer, &end) != 1 || !end) continue;
    if (layer < 0 || layer >= most_layers)
      io::fail("{}: '{}': layers are numbered from 0 to {} at most", path(), source.name, most_layers - 1);
    shape_.layers = std::max(shape_.layers, layer + 1);
  }
  shape_.heads = std::max(shape_.hidden / 16, 1);  // placeholder until resolve(); no array depends on it
  has_head_ = sources_.count("cls.predictions.transform.dense.weight");

  std::optional<Bert> model;
  try {
    model.emplace(shape_);  // not allocated
  } catch (const std::invalid_argument& error) {
    io::fail("{}: {}", path(), error.what());
  }
  std::set<std::string> expected;
  for (const auto& array : model->store.named()) {
    if (in_head(array.name) && !has_head_) continue;
    if (!sources_.count(array.name))
      io::fail("{}: a BERT of {} layers needs an array '{}'; there is none", path(), shape_.layers,
               array.name);
    const std::vector<int64_t> wanted(array.shape.begin(), array.shape.end());
    if (const auto found = canonical_shape(array.name); found != wanted) {
      const Source& source = sources_.at(array.name);
      io::fail("{}: {} has shape {}{}, {} was expected", path(), source.name, io::shape_text(found),
               source.transposed ? " (transposed)" : "", io::shape_text(wanted));
    }
    expected.insert(array.name);
  }
  check_tied(name::decoder_weight, name::word_embeddings);
  check_tied(name::decoder_bias, name::output_bias);
  std::erase_if(sources_, [&](const auto& source) {
    if (expected.count(source.first)) return false;
    ignored_.push_back(source.second.name);
    return true;
  });
}

// Files may hold the tied matrix twice. If the copies differ, the model is untied, which is not supported.
void Pretrained::check_tied(const char* copy, const char* original) {
  const auto found = sources_.find(copy);
  if (found == sources_.end()) return;
  if (sources_.count(original) && stored_values(copy) != stored_values(original))
    io::fail("{}: {} differs from {}: this model's output matrix is not its word embedding, but ours is",
             path(), copy, original);
}

std::vector<float> Pretrained::values(const std::string& name) {
  std::vector<float> v = stored_values(name);
  if (!std::all_of(v.begin(), v.end(), [](float x) { return std::isfinite(x); }))
    io::fail("{}: {} has a value that is not finite", path(), sources_.at(name).name);
  return v;
}

std::vector<float> Pretrained::stored_values(const std::string& name) {
  const Source& source = sources_.at(name);
  std::vector<float> stored = archive_->load<float>(source.name);
  if (!source.transposed) return stored;
  const auto shape = canonical_shape(name);
  const size_t out = size_t(shape[0]), in = size_t(shape[1]);
  std::vector<float> turned(stored.size());
  for (size_t o = 0; o < out; o++)
    for (size_t i = 0; i < in; i++) turned[o * in + i] = stored[i * out + o];
  return turned;
}

bool Pretrained::head_looks_untrained() {
  const auto all = [&](const char* name, float value) {
    const auto v = stored_values(name);
    return std::all_of(v.begin(), v.end(), [&](float x) { return x == value; });
  };
  return has_head_ && all("cls.predictions.transform.dense.bias", 0) &&
         all("cls.predictions.transform.LayerNorm.weight", 1) &&
         all("cls.predictions.transform.LayerNorm.bias", 0);
}

void Pretrained::load(Bert& bert, std::span<const int> rows, bool head) {
  ParameterStore& store = bert.store;
  for (const auto& array : store.named()) {
    if (in_head(array.name) && !head) continue;
    std::vector<float> v = values(array.name);
    if (array.name == name::word_embeddings || array.name == name::output_bias) {
      const size_t width = v.size() / size_t(shape_.vocabulary);
      std::vector<float> chosen(rows.size() * width);
      for (size_t t = 0; t < rows.size(); t++)
        std::copy_n(&v[size_t(rows[t]) * width], width, &chosen[t * width]);
      v.swap(chosen);
    }
    store.upload(store.masters(), array, v);
  }
  store.round_masters();
}

void Pretrained::load(Bert& bert) {
  std::vector<int> rows(size_t(shape_.vocabulary));
  std::iota(rows.begin(), rows.end(), 0);
  load(bert, rows, true);
}

// ---- Configuration beside the weights ---------------------------------------------------------------------

ConfigFacts read_config_facts(const std::string& text, const std::string& what, const Pretrained& weights) {
  const auto json = nlohmann::json::parse(text, nullptr, false);
  if (!json.is_object()) io::fail("{}: no JSON object", what);
  const auto number = [&](const char* key) -> double {
    if (!json.contains(key) || json[key].is_null()) return 0;
    if (!json[key].is_number() || !(json[key].get<double>() > 0))
      io::fail("{}: {} is no positive number", what, key);
    return json[key].get<double>();
  };
  const auto word = [&](const char* key) -> std::string {
    return json.contains(key) && json[key].is_string() ? json[key].get<std::string>() : "";
  };
  const auto refuse_but = [&](const char* key, const std::string& value, std::set<std::string> allowed) {
    if (!value.empty() && !allowed.count(value))
      io::fail("{}: {} = {} is not run here; BERT's erf-GELU and absolute positions are", what, key,
               io::quote(value));
  };
  const std::string act = word("hidden_act");
  if (const std::set<std::string> tanh = {"gelu_new", "gelu_fast", "gelu_accurate", "gelu_pytorch_tanh"};
      tanh.count(act))
    fmt::print(
        stderr,
        "warning: {}: hidden_act = {}, the tanh form of GELU; training computes the erf form (off by 5e-4 at "
        "most)\n",
        what, act);
  else refuse_but("hidden_act", act, {"gelu", "gelu_python"});
  refuse_but("position_embedding_type", word("position_embedding_type"), {"absolute"});
  const BertConfig shape = weights.shape();
  for (const auto& [key, size] : {std::pair{"num_hidden_layers", shape.layers},
                                  {"hidden_size", shape.hidden},
                                  {"intermediate_size", shape.intermediate},
                                  {"max_position_embeddings", shape.max_positions},
                                  {"vocab_size", shape.vocabulary}})
    if (const double said = number(key); said && said != size)
      io::fail("{}: {} = {}, but {} has {}; it is the configuration of another model, or arrays are missing",
               what, key, said, weights.path(), size);
  ConfigFacts facts;
  const char* heads = json.contains("heads") ? "heads" : "num_attention_heads";
  const char* epsilon = json.contains("ln_eps") ? "ln_eps" : "layer_norm_eps";
  facts.heads = int(std::min(number(heads), 1e6)), facts.layer_norm_epsilon = number(epsilon);
  return facts;
}

// Uses the first source that exists: model.config, `__meta__` with heads, a configuration beside the weights.
static ConfigFacts find_config_facts(const ModelOptions& options, const Pretrained& pretrained) {
  if (!options.config.empty())
    return read_config_facts(io::read_file(options.config), options.config, pretrained);
  if (!pretrained.meta().empty()) {
    const ConfigFacts facts =
        read_config_facts(pretrained.meta(), pretrained.path() + ": __meta__", pretrained);
    if (facts.heads) return facts;
  }
  for (const char* name : {"bert_config.json", "config.json"}) {
    const std::string beside = fs::path(options.weights).parent_path() / name;
    if (fs::exists(beside)) return read_config_facts(io::read_file(beside), beside, pretrained);
  }
  return {};
}

void resolve(ModelOptions& options, const Pretrained* pretrained) {
  if (pretrained) {
    const BertConfig shape = pretrained->shape();
    options.layers = shape.layers, options.hidden = shape.hidden, options.intermediate = shape.intermediate;
    options.max_positions = shape.max_positions;
    const ConfigFacts facts = find_config_facts(options, *pretrained);
    if (!options.heads) options.heads = facts.heads;
    if (!options.layer_norm_epsilon) options.layer_norm_epsilon = facts.layer_norm_epsilon;
    if (!options.heads) {
      options.heads = std::max(options.hidden / 64, 1);
      fmt::print(stderr,
                 "warning: {}: no configuration names the number of heads; hidden/64 = {} is a guess, and a "
                 "wrong one "
                 "makes a wrong model: set model.heads or model.config\n",
                 options.weights, options.heads);
    }
  }
  if (!options.intermediate) options.intermediate = 4 * options.hidden;
  if (!options.heads) options.heads = std::max(options.hidden / 64, 1);
  if (!options.layer_norm_epsilon) options.layer_norm_epsilon = 1e-12;
}

}  // namespace warpbert
