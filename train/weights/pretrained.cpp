#include "pretrained.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <filesystem>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>

#include "engine/fnv.h"
#include "io/error.h"
#include "io/file_kind.h"
#include "io/json.h"
#include "io/text.h"
#include "io/text_file.h"
#include "names.h"
#include "weights_file.h"

namespace warpbert {

namespace fs = std::filesystem;

// Largest difference of tied copies, as in the converter.
constexpr double tied_tolerance = 1e-6;

static bool in_head(const std::string& name) { return name.starts_with("cls.predictions."); }

Pretrained::Pretrained(const std::string& path) : archive_(io::open_archive(find_weights(path))) {
  archive_->verify();
  recognise();
  check_shapes();
  if (archive_->find(name::meta)) {
    const auto text = archive_->load<uint8_t>(name::meta);
    meta_.assign(text.begin(), text.end());
  }
  vocabulary_ = load_vocabulary(*archive_);
  if (vocabulary_ && vocabulary_->size() != shape_.vocabulary)
    io::fail("{}: vocab/cipher_ids has {} ids, but the word embedding has {} rows; {} were expected",
             this->path(), vocabulary_->dataset_ids().size(), shape_.vocabulary, vocabulary_->size());
}

void require_float(const io::ArrayInfo& array, const std::string& path) {
  using enum io::DType;
  const io::DType type = array.dtype;
  if (is_float(type)) return;
  const char* advice =
      type == u16 || type == i16 ? "; if these are the bits of bfloat16, save them as float32"
      : type == u8 || type == i8 ? "; a quantized model is not trained, the one it was made of is"
                                 : "";
  io::fail("{}: {} is {}; weights are float16, bfloat16, float32 or float64{}", path, array.name,
           name_of(type), advice);
}

void Pretrained::recognise() {
  std::vector<std::string> names;
  for (const auto& array : archive_->arrays()) names.push_back(array.name);
  const std::string prefix = wrapper_prefix(names, path());
  for (const auto& array : archive_->arrays()) {
    const bool wrapped = array.name.starts_with(prefix);
    const CanonicalName canonical = canonical_name(wrapped ? array.name.substr(prefix.size()) : array.name);
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

// [out, in]; {} if the array is missing.
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
    if (shape.size() != 2) {
      const auto& arrays = archive_->arrays();
      const bool uer = std::any_of(arrays.begin(), arrays.end(), [](const auto& a) {
        return a.name.find("embedding.word") != a.name.npos;
      });
      io::fail("{}: no pretrained BERT: {} '{}'; its first array is '{}'{}", path(),
               shape.empty() ? "there is no" : "no matrix is", name, arrays[0].name,
               uer ? "; these are UER's names, which io/convert/convert.py converts" : "");
    }
    return shape;
  };
  const auto words = matrix(name::word_embeddings);
  shape_.vocabulary = int(words[0]), shape_.hidden = int(words[1]);
  shape_.max_positions = int(matrix("bert.embeddings.position_embeddings.weight")[0]);
  shape_.intermediate = int(matrix("bert.encoder.layer.0.intermediate.dense.weight")[0]);
  // Some exports have only this copy.
  if (!sources_.count(name::output_bias))
    if (auto copy = sources_.extract(name::decoder_bias)) {
      copy.key() = name::output_bias;
      sources_.insert(std::move(copy));
    }
  shape_.layers = 0;
  for (const auto& [name, source] : sources_) {
    int layer = 0, end = 0;
    if (std::sscanf(name.c_str(), "bert.encoder.layer.%9d.%n", &layer, &end) != 1 || !end) continue;
    if (layer < 0 || layer >= most_layers)
      io::fail("{}: '{}': layers are numbered from 0 to {} at most", path(), source.name, most_layers - 1);
    shape_.layers = std::max(shape_.layers, layer + 1);
  }
  shape_.heads = std::max(shape_.hidden / 16, 1);  // replaced by resolve_model()
  has_head_ = sources_.count("cls.predictions.transform.dense.weight");

  std::optional<Bert> model;
  try {
    model.emplace(shape_);  // not allocated
  } catch (const std::invalid_argument& error) {
    io::fail("{}: {}", path(), error.what());
  }
  std::set<std::string> expected;
  for (const auto& array : model->store.named())
    if (!in_head(array.name) || has_head_) expected.insert(array.name);
  check_kinds(expected);
  for (const auto& array : model->store.named()) {
    if (!expected.count(array.name)) continue;
    if (!sources_.count(array.name))
      io::fail("{}: a BERT of {} layers needs an array '{}'; there is none", path(), shape_.layers,
               array.name);
    const std::vector<int64_t> wanted(array.shape.begin(), array.shape.end());
    if (const auto found = canonical_shape(array.name); found != wanted) {
      const Source& source = sources_.at(array.name);
      io::fail("{}: {} has shape {}{}, {} was expected", path(), source.name, io::shape_text(found),
               source.transposed ? " (transposed)" : "", io::shape_text(wanted));
    }
  }
  check_tied(name::decoder_weight, name::word_embeddings);
  check_tied(name::decoder_bias, name::output_bias);
  std::erase_if(sources_, [&](const auto& source) {
    if (expected.count(source.first)) return false;
    ignored_.push_back(source.second.name);
    return true;
  });
}

void Pretrained::check_kinds(const std::set<std::string>& expected) {
  std::vector<std::string> inside, outside;
  for (const auto& [name, source] : sources_) {
    if (expected.count(name) || name == name::decoder_weight || name == name::decoder_bias)
      require_float(archive_->at(source.name), path());
    else if (name.starts_with("bert.encoder.") || name.starts_with("bert.embeddings."))
      inside.push_back(source.name);
    else outside.push_back(source.name);
  }
  if (!inside.empty())
    io::fail(
        "{}: holds arrays that are no part of BERT: {}; they change what it computes. If the model is a BERT "
        "without them, io/convert/convert.py --ignore '{}' leaves them out",
        path(), io::listed(inside), inside[0]);
  if (!outside.empty())
    io::warn("{}: left out, as they are no part of BERT: {}", path(), io::listed(outside));
}

// Relative distance of neighbouring values.
static double rounding(io::DType type) {
  return type == io::DType::bf16 ? 0x1p-7 : type == io::DType::f16 ? 0x1p-10 : 0x1p-22;
}

// Copies of the tied matrix may be rounded in two ways; if they differ by more, the model is untied.
void Pretrained::check_tied(const char* copy, const char* original) {
  const auto found = sources_.find(copy);
  if (found == sources_.end() || !sources_.count(original)) return;
  const std::string &its_name = found->second.name, &other_name = sources_.at(original).name;
  if (const auto shape = canonical_shape(copy), wanted = canonical_shape(original); shape != wanted)
    io::fail("{}: {} has shape {}, {} was expected", path(), its_name, io::shape_text(shape),
             io::shape_text(wanted));
  const double unit =
      std::max(rounding(archive_->at(its_name).dtype), rounding(archive_->at(other_name).dtype));
  const auto a = finite_values(copy), b = finite_values(original);
  double worst = 0;
  bool tied = true;
  for (size_t i = 0; i < a.size(); i++) {
    const double difference = std::abs(double(a[i]) - b[i]);
    tied = tied && difference <= tied_tolerance + unit * std::abs(b[i]);
    worst = std::max(worst, difference);
  }
  if (tied) return;
  io::fail("{}: {} differs from {}: {} (by up to {:.3g})", path(), its_name, other_name,
           std::string_view(copy) == name::decoder_weight
               ? "this model's output matrix is not its word embedding, but ours is; io/convert/convert.py "
                 "--drop-output-matrix uses the embedding for both"
               : "they are copies of one array; leave one out",
           worst);
}

// True for arrays that training never leaves: all values equal, except initial biases of 0 and gains of 1, or
// one run of zeros in a sixteenth of them. Zero rows of a few unused tokens are shorter.
static bool looks_blank(const std::string& name, const std::vector<float>& v) {
  constexpr size_t shortest = 32;  // run of zeros
  if (v.size() < 2) return false;
  const bool gain = name.ends_with("LayerNorm.weight"), bias = name.ends_with("bias");
  if (std::all_of(v.begin(), v.end(), [&](float x) { return x == v[0]; }))
    return !(gain && v[0] == 1) && !(bias && v[0] == 0);
  if (bias || name == "bert.embeddings.token_type_embeddings.weight") return false;  // one row may be unused
  size_t longest = 0, run = 0;
  for (const float x : v) run = x == 0 ? run + 1 : 0, longest = std::max(longest, run);
  return longest >= std::max(shortest, v.size() / 16);
}

void Pretrained::warn_of_blanks() {
  if (blank_.empty()) return;
  io::warn(
      "{}: {} of {} arrays are constant or zero in large part: {}; if a download was resumed, fetch the file "
      "again",
      path(), blank_.size(), sources_.size(), io::listed(blank_));
  blank_.clear();
}

std::vector<float> Pretrained::values(const std::string& name) {
  std::vector<float> v = finite_values(name);
  if (looks_blank(name, v)) blank_.push_back(sources_.at(name).name);
  return v;
}

std::vector<float> Pretrained::finite_values(const std::string& name) {
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

uint64_t Pretrained::hash() {
  Fnv<uint64_t> hash;
  for (const auto& [name, source] : sources_) {
    hash.add(name);
    for (const float x : stored_values(name)) hash.add(std::bit_cast<uint32_t>(x));
  }
  return hash.value();
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
    if (!rows.empty() && (array.name == name::word_embeddings || array.name == name::output_bias)) {
      const size_t width = v.size() / size_t(shape_.vocabulary);
      std::vector<float> chosen(rows.size() * width);
      for (size_t t = 0; t < rows.size(); t++)
        std::copy_n(&v[size_t(rows[t]) * width], width, &chosen[t * width]);
      v.swap(chosen);
    }
    store.upload(store.master_weights(), array, v);
  }
  store.round_weights();
  warn_of_blanks();
}

// ---- Configuration beside the weights ---------------------------------------------------------------------

PublishedConfig read_published_config(const std::string& text, const std::string& what,
                                      const Pretrained& weights) {
  PublishedConfig config{what};
  const auto json = io::parse_json(text, what);
  if (const std::string kind = io::foreign_kind(text); !json.is_object())
    io::fail("{}: {}", what, kind.empty() ? "no JSON object" : "is " + kind);
  const auto number = [&](const char* key) -> double {
    if (!json.contains(key) || json[key].is_null()) return 0;
    if (!json[key].is_number() || !(json[key].get<double>() > 0))
      io::fail("{}: {} is no positive number", what, key);
    return json[key].get<double>();
  };
  const auto whole = [&](const char* key) {
    const double value = number(key);
    if (value != std::floor(value)) io::fail("{}: {} = {} is no whole number", what, key, value);
    return value;
  };
  // null is allowed; `run`: what is computed here instead.
  const auto refuse_but = [&](const char* key, const std::set<nlohmann::json>& allowed, const char* run) {
    if (!json.contains(key) || json[key].is_null() || allowed.count(json[key])) return;
    const bool text = json[key].is_string();
    io::fail("{}: {} = {} is not run here; {}", what, key,
             text ? io::quote(json[key].get<std::string>()) : json[key].dump(), run);
  };
  constexpr const char* bert = "BERT's erf-GELU and absolute positions are";
  constexpr const char* encoder = "an encoder is, where each word sees all others";
  refuse_but("model_type", {"bert"}, "BERT is; if the model is one, change the entry");
  refuse_but("position_embedding_type", {"absolute"}, bert);
  refuse_but("is_decoder", {false}, encoder);
  refuse_but("add_cross_attention", {false}, encoder);
  if (weights.has_head())
    refuse_but(
        "tie_word_embeddings", {true},
        "the word embedding is the output matrix; io/convert/convert.py --drop-output-matrix makes it so");
  const std::set<nlohmann::json> tanh = {"gelu_new", "gelu_fast", "gelu_accurate", "gelu_pytorch_tanh"};
  if (const auto act = json.find("hidden_act"); act != json.end() && tanh.count(*act))
    config.warnings.push_back(fmt::format(
        "{}: hidden_act = {}, the tanh form of GELU; training computes the erf form (off by 5e-4 at most)",
        what, act->get<std::string>()));
  else refuse_but("hidden_act", {"gelu", "gelu_python"}, bert);
  const BertConfig shape = weights.shape();
  for (const auto& [key, size] : {std::pair{"num_hidden_layers", shape.layers},
                                  {"hidden_size", shape.hidden},
                                  {"intermediate_size", shape.intermediate},
                                  {"max_position_embeddings", shape.max_positions},
                                  {"vocab_size", shape.vocabulary}})
    if (const double said = whole(key); said && said != size) {
      if (key == std::string_view("vocab_size") && said < size)
        config.warnings.push_back(
            fmt::format("{}: vocab_size = {}, but {} has {} rows; the last {} are taken for padding", what,
                        said, weights.path(), size, size - said));
      else
        io::fail(
            "{}: {} = {}, but {} has {}; it is the configuration of another model, or arrays are missing",
            what, key, said, weights.path(), size);
    }
  const char* heads = json.contains("heads") ? "heads" : "num_attention_heads";
  const char* epsilon = json.contains("ln_eps") ? "ln_eps" : "layer_norm_eps";
  config.heads = int(std::min(whole(heads), 1e6)), config.layer_norm_epsilon = number(epsilon);
  // Range of the option; kernels take it as float, which must not be 0.
  if (const double e = config.layer_norm_epsilon; e && (e > 1 || e < std::numeric_limits<float>::min()))
    io::fail("{}: {} = {} is no epsilon in (0, 1]", what, epsilon, e);
  config.vocabulary = int(std::min<double>(whole("vocab_size"), shape.vocabulary));
  return config;
}

}  // namespace warpbert
