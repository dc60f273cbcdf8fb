#include "model_file.h"

#include <fmt/format.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <system_error>

#include "io/atomic_file.h"
#include "io/error.h"
#include "io/npz.h"
#include "io/safetensors.h"
#include "io/text.h"
#include "names.h"

namespace warpbert {

namespace {

// Host copy of the master weights, with named views for the writers.
struct HostModel {
  std::vector<std::vector<float>> values;
  std::vector<io::ArrayView> arrays;

  explicit HostModel(ParameterStore& store) {
    for (const auto& array : store.named()) {
      values.push_back(store.download(store.masters(), array));
      arrays.push_back(io::view(array.name, {array.shape.begin(), array.shape.end()}, values.back()));
    }
  }
};

double decimal(float x) { return std::stod(fmt::format("{}", x)); }  // 0.1f becomes 0.1

std::string config_json(const BertConfig& c) {
  const nlohmann::ordered_json json = {{"architectures", {"BertForMaskedLM"}},
                                       {"model_type", "bert"},
                                       {"vocab_size", c.vocabulary},
                                       {"hidden_size", c.hidden},
                                       {"num_hidden_layers", c.layers},
                                       {"num_attention_heads", c.heads},
                                       {"intermediate_size", c.intermediate},
                                       {"hidden_act", "gelu"},
                                       {"hidden_dropout_prob", decimal(c.dropout)},
                                       {"attention_probs_dropout_prob", decimal(c.attention_dropout)},
                                       {"max_position_embeddings", c.max_positions},
                                       {"type_vocab_size", 2},
                                       {"layer_norm_eps", decimal(c.layer_norm_epsilon)},
                                       {"pad_token_id", token::pad},
                                       {"tie_word_embeddings", true}};
  return json.dump(2) + "\n";
}

std::string vocab_text(const Vocabulary& vocabulary) {
  std::string text = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n[NO]\n[YES]\n";
  const auto& words = vocabulary.text();
  for (const int64_t id : vocabulary.cipher_ids())
    text += (words ? words->tokens[size_t(id)] : fmt::format("{}", id)) + "\n";
  return text;
}

}  // namespace

std::vector<uint8_t> model_meta(const BertConfig& c) {
  const nlohmann::ordered_json json = {
      {"format", 1}, {"heads", c.heads}, {"ln_eps", decimal(c.layer_norm_epsilon)}};
  const std::string text = json.dump();
  return {text.begin(), text.end()};
}

void save_model(const std::string& path, Bert& bert, const Vocabulary& vocabulary) {
  HostModel model(bert.store);
  const VocabularyArrays words(vocabulary);
  for (auto& view : words.views()) model.arrays.push_back(std::move(view));
  const std::vector<uint8_t> meta = model_meta(bert.config);
  model.arrays.push_back(io::view(name::meta, {int64_t(meta.size())}, meta));
  io::write_npz(path, model.arrays);
}

static void refuse_others_files(const std::string& folder) {
  const std::string ours = folder + "/tokenizer_config.json";
  if (std::filesystem::exists(ours) &&
      nlohmann::json::parse(io::read_file(ours), nullptr, false).contains("warpbert"))
    return;
  for (const char* name : {"model.safetensors", "config.json", "vocab.txt", "tokenizer_config.json"})
    if (std::filesystem::exists(folder + "/" + name))
      io::fail("{}/{}: export did not write it, and will not replace it; choose another folder", folder,
               name);
}

void export_model(const std::string& folder, Bert& bert, const Vocabulary& vocabulary,
                  const Options& options) {
  refuse_others_files(folder);
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) io::fail("{}: cannot make the folder: {}", folder, error.message());
  const auto& words = vocabulary.text();
  nlohmann::ordered_json tokenizer = {{"tokenizer_class", "BertTokenizer"},
                                      {"do_lower_case", words && words->lowercase},
                                      {"model_max_length", bert.config.max_positions}};
  for (const auto key : {"data.text", "data.lowercase", "data.max_tokens", "train.precision", "predict.score",
                         "predict.swap", "predict.batch"})
    tokenizer["warpbert"][key] = option_value(options, key);
  // Written first: it marks the folder as ours if the export is interrupted.
  io::write_file_atomically(folder + "/tokenizer_config.json", tokenizer.dump(2) + "\n");
  const HostModel model(bert.store);
  io::write_safetensors(folder + "/model.safetensors", model.arrays);
  io::write_file_atomically(folder + "/config.json", config_json(bert.config));
  io::write_file_atomically(folder + "/vocab.txt", vocab_text(vocabulary));
}

}  // namespace warpbert
