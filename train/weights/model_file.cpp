#include "model_file.h"

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <system_error>

#include "host_arrays.h"
#include "io/atomic_file.h"
#include "io/error.h"
#include "io/format.h"
#include "io/json.h"
#include "io/npz.h"
#include "io/safetensors.h"
#include "io/text.h"
#include "names.h"
#include "transformers_files.h"

namespace warpbert {

std::vector<uint8_t> model_meta(const BertConfig& c) {
  const nlohmann::ordered_json json = {
      {"format", 1}, {"heads", c.heads}, {"ln_eps", io::decimal(c.layer_norm_epsilon)}};
  const std::string text = json.dump();
  return {text.begin(), text.end()};
}

void save_model(const std::string& path, Bert& bert, const Vocabulary& vocabulary) {
  HostArrays model;
  model.add(bert.store, bert.store.master_weights());
  const VocabularyArrays words(vocabulary);
  for (auto& view : words.views()) model.views.push_back(std::move(view));
  const std::vector<uint8_t> meta = model_meta(bert.config);
  model.views.push_back(io::view(name::meta, {int64_t(meta.size())}, meta));
  io::write_npz(path, model.views);
}

// Training reads only row 0 of the segment table; a copy makes row 1 right too.
static void copy_first_segment(HostArrays& model) {
  for (size_t i = 0; i < model.views.size(); i++) {
    if (model.views[i].name != name::segment_embeddings) continue;
    std::vector<float>& rows = model.values[i];
    std::copy_n(rows.begin(), rows.size() / 2, rows.begin() + long(rows.size() / 2));
  }
}

static void refuse_others_files(const std::string& folder) {
  const std::string ours = folder + "/tokenizer_config.json";
  if (std::filesystem::exists(ours) && io::parse_json(io::read_file(ours), ours).contains("warpbert")) return;
  for (const char* name :
       {"model.safetensors", "config.json", "vocab.txt", "tokenizer.json", "tokenizer_config.json"})
    if (std::filesystem::exists(folder + "/" + name))
      io::fail("{}/{}: export did not write it, and will not replace it; choose another folder", folder,
               name);
}

bool export_model(const std::string& folder, Bert& bert, const Vocabulary& vocabulary, const Options& options,
                  std::optional<double> threshold) {
  refuse_others_files(folder);
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) io::fail("{}: cannot make the folder: {}", folder, error.message());
  const ExportedModel exported{bert.config, vocabulary, options, threshold};
  // Written first: it marks the folder as ours if the export is interrupted.
  io::write_file_atomically(folder + "/tokenizer_config.json", tokenizer_config_json(exported));
  HostArrays model;
  model.add(bert.store, bert.store.master_weights());
  copy_first_segment(model);
  io::write_safetensors(folder + "/model.safetensors", model.views);
  io::write_file_atomically(folder + "/config.json", config_json(bert.config));
  io::write_file_atomically(folder + "/vocab.txt", vocab_text(vocabulary));
  io::write_file_atomically(folder + "/tokenizer.json", tokenizer_json(exported));
  const std::string card = folder + "/README.md";
  if (std::filesystem::exists(card) && !is_model_card(io::read_file(card))) return false;
  io::write_file_atomically(card, model_card(exported));
  return true;
}

}  // namespace warpbert
