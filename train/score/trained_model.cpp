#include "trained_model.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <system_error>

#include "io/error.h"
#include "io/json.h"
#include "io/text.h"
#include "io/text_file.h"
#include "io/vocab.h"
#include "train/config/command_line.h"
#include "train/data/alignment.h"
#include "train/step/gemm_files.h"
#include "train/step/session.h"
#include "train/weights/transformers_files.h"

namespace warpbert {

namespace fs = std::filesystem;

// ---- Lookup -----------------------------------------------------------------------------------------------

// config.ini has heads and ε already; model.config may be gone.
static Options options_of_run(const std::string& ini) {
  Options options = read_options(ini);
  options.model.config.clear();
  return options;
}

// Earlier versions wrote it under `validation`.
static std::optional<double> read_threshold(const fs::path& run) {
  const fs::path path = run / "run.json";
  if (!fs::exists(path)) return {};
  const auto json = io::parse_json(io::read_text(path), path);
  if (!json.is_object()) io::warn("{}: no JSON object; its threshold is not used", path.string());
  for (const char* place : {"/threshold", "/validation/threshold"}) {
    const nlohmann::json::json_pointer at(place);
    if (!json.contains(at)) continue;
    const auto& value = json[at];
    if (value.is_number() && value >= 0 && value <= 1) return value.get<double>();
    io::warn("{}: its threshold is no number in [0, 1] and is not used", path.string());
    break;
  }
  return {};
}

static ModelSource find_file(const std::string& path) {
  const fs::path folder = fs::absolute(path).parent_path();
  for (const fs::path& of_run : {folder, folder.parent_path()})
    if (const std::string ini = of_run / "config.ini", gemm = of_run / "gemm.txt"; fs::exists(ini)) {
      const bool best = fs::path(path).filename() == "best.npz";
      const auto threshold = best ? read_threshold(of_run) : std::nullopt;
      return {path, path, "", options_of_run(ini), gemm, {path, ini, gemm}, threshold};
    }
  io::fail(
      "{}: no config.ini beside it or in the folder above; a model file is used in the folder of its run",
      path);
}

static ModelSource find_exported(const std::string& path) {
  const std::string tokenizer = path + "/tokenizer_config.json", config = path + "/config.json";
  ModelSource source{path, path + "/model.safetensors", path + "/vocab.txt", {}};
  // transformers 5 saves a tokenizer without vocab.txt.
  if (const std::string json = path + "/tokenizer.json"; !fs::exists(source.vocab) && fs::exists(json))
    source.vocab = json;
  source.files = {source.weights, source.vocab, config, tokenizer};
  source.options.model.config = config;
  for (const std::string& file : {source.options.model.config, source.weights, source.vocab})
    if (!fs::exists(file)) io::fail("{}: not found; a folder that export wrote has it", file);
  if (!fs::exists(tokenizer)) return source;
  const auto json = io::parse_json(io::read_text(tokenizer), tokenizer);
  if (!json.is_object()) io::fail("{}: no JSON object", tokenizer);
  const auto options = json.value("warpbert", nlohmann::json::object());
  for (const auto& [key, value] : options.items()) {
    if (!value.is_string()) io::fail("{}: warpbert: {} is no string", tokenizer, key);
    try {
      const auto& known = exported_options;
      if (key == "threshold") source.threshold = parse_number(key, value.get<std::string>(), 1);
      else if (std::find(known.begin(), known.end(), key) == known.end())
        io::fail("{}: warpbert: {} is none of the options that export writes", tokenizer, io::quote(key));
      else set_option(source.options, {key, value.get<std::string>()});
    } catch (const UsageError& error) {
      io::fail("{}: warpbert: {}", tokenizer, error.what());
    }
  }
  return source;
}

static ModelSource find_run(const std::string& path) {
  for (const char* file : {"/config.ini", "/best.npz"})
    if (!fs::exists(path + file))
      io::fail(
          "{}{}: not found; --run needs the folder of a run that train has finished, or one that export "
          "wrote",
          path, file);
  const std::string weights = path + "/best.npz", ini = path + "/config.ini", gemm = path + "/gemm.txt";
  return {path, weights, "", options_of_run(ini), gemm, {weights, ini, gemm}, read_threshold(path)};
}

ModelSource find_model(const std::string& path, const std::vector<Override>& overrides) {
  if (!fs::exists(path)) io::fail("{}: not found; --run needs the folder of a run", path);
  const bool exported = fs::exists(path + "/config.json") || fs::exists(path + "/model.safetensors");
  ModelSource source = fs::is_regular_file(path)                       ? find_file(path)
                       : exported && !fs::exists(path + "/config.ini") ? find_exported(path)
                                                                       : find_run(path);
  source.options.model.weights = source.weights;
  for (const Override& override : overrides) set_option(source.options, override);
  return source;
}

Vocabulary read_exported_vocabulary(const std::string& path, const DataOptions& data) {
  const std::vector<std::string> tokens = io::read_vocab(path);
  for (size_t i = 0; i < token::special.size(); i++)
    if (i >= tokens.size() || tokens[i] != token::special[i])
      io::fail(
          "{}: line {}: {} was expected; a vocabulary that export wrote begins with the seven special tokens",
          path, i + 1, token::special[i]);
  if (data.text) return Vocabulary({tokens, data.lowercase}, path);
  std::vector<int64_t> ids;
  for (size_t i = token::first_word; i < tokens.size(); i++) {
    const auto id = io::to_number<int64_t>(tokens[i]);
    if (!id || *id < 0)
      io::fail("{}: line {}: {} is no id; a vocabulary that export wrote has one a line", path, i + 1,
               io::quote(tokens[i]));
    ids.push_back(*id);
  }
  try {
    return Vocabulary(std::move(ids));
  } catch (const std::invalid_argument& error) {  // duplicates such as 7 and 07
    io::fail("{}: {}", path, error.what());
  }
}

TextVocabulary read_text_vocabulary(const ModelSource& source) {
  if (!source.vocab.empty()) return {io::read_vocab_file(source.vocab).tokens, source.options.data.lowercase};
  const auto archive = io::open_archive(source.weights);
  auto text = load_text_vocabulary(*archive);
  if (!text)
    io::fail("{}: has no array 'vocab/wordpiece', but config.ini says data.text = true", source.weights);
  return *text;
}

// ---- Loading ----------------------------------------------------------------------------------------------

static std::unique_ptr<Pretrained> open_weights(const std::string& path) {
  auto file = std::make_unique<Pretrained>(path);
  if (!file->has_head()) io::fail("{}: has no masked-language head, which gives the scores", path);
  return file;
}

static Vocabulary read_vocabulary(const ModelSource& source, const Pretrained& file) {
  if (source.vocab.empty() && !file.vocabulary())
    io::fail("{}: has no array 'vocab/cipher_ids'; no run wrote it", source.weights);
  if (source.vocab.empty()) {
    if (bool(file.vocabulary()->text()) != source.options.data.text)
      io::fail("{}: a model of {}, but its config.ini says data.text = {}", source.weights,
               source.options.data.text ? "ids" : "plain text", source.options.data.text);
    return *file.vocabulary();
  }
  Vocabulary vocabulary = read_exported_vocabulary(source.vocab, source.options.data);
  if (vocabulary.size() != file.shape().vocabulary)
    io::fail("{}: {} tokens, but the word embedding of {} has {} rows", source.vocab, vocabulary.size(),
             source.weights, file.shape().vocabulary);
  return vocabulary;
}

static ResolvedOptions resolve(const ModelSource& source, const Pretrained& file) {
  ResolvedOptions options = resolve_model(source.options, &file);
  for (const std::string& warning : options.warnings) io::print_warning(warning);
  return options;
}

TrainedModel::TrainedModel(const ModelSource& source)
    : file(open_weights(source.weights)),
      options(resolve(source, *file)),
      device(open_device(options.run)),
      vocabulary(read_vocabulary(source, *file)),
      bert(bert_config(options.model, vocabulary.size())) {
  // The run's GEMM algorithms reproduce the run's scores.
  if (Device::is_gpu())
    read_algorithm_cache(device->algorithm_cache(), source.gemm, gemm_environment(*device));
  bert.store.allocate(*device, options.train.precision, false);
  file->load(bert);
}

}  // namespace warpbert
