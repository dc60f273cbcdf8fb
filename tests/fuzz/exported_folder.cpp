// A folder that export wrote, in one text: "=== NAME" begins each file. Of model.safetensors it has the arrays
// (arrays.h); without such a section, a good model is there. Exported again, the model is the same and gives
// the same scores. `train` finds the same heads, epsilon and tokens in it.
#include <algorithm>
#include <array>
#include <map>
#include <memory>

#include "arrays.h"
#include "io/safetensors.h"
#include "train/score/scoring.h"
#include "train/step/session.h"
#include "train/weights/model_file.h"
#include "train/weights/names.h"
#include "train/weights/transformers_files.h"

using namespace warpbert;
using namespace warpbert::fuzz;

namespace {

constexpr std::array files = {"config.json", "tokenizer_config.json", "vocab.txt", "tokenizer.json",
                              "model.safetensors"};

// A model of 12 tokens, as in the corpus.
std::string good_model() {
  std::string text;
  const auto add = [&](const std::string& name, const char* shape, const char* values) {
    text += fmt::format("@ {} float32 {}\n{}\n", name, shape, values);
  };
  const auto norm = [&](const std::string& name) {
    add(name + ".weight", "16", "1");
    add(name + ".bias", "16", "0 0.1");
  };
  const auto linear = [&](const std::string& name, const char* shape, const char* out) {
    add(name + ".weight", shape, "0.1 -0.2 0.3");
    add(name + ".bias", out, "0 0.1");
  };
  add("bert.embeddings.word_embeddings.weight", "12,16", "0.1 -0.2 0.3 0.5 -0.7");
  add("bert.embeddings.position_embeddings.weight", "40,16", "0.1 -0.2 0.3");
  add("bert.embeddings.token_type_embeddings.weight", "2,16", "0.1 -0.2 0.3");
  norm("bert.embeddings.LayerNorm");
  const std::string layer = "bert.encoder.layer.0.";
  for (const char* part : {"query", "key", "value"}) linear(layer + "attention.self." + part, "16,16", "16");
  linear(layer + "attention.output.dense", "16,16", "16");
  norm(layer + "attention.output.LayerNorm");
  linear(layer + "intermediate.dense", "24,16", "24");
  linear(layer + "output.dense", "16,24", "16");
  norm(layer + "output.LayerNorm");
  linear("cls.predictions.transform.dense", "16,16", "16");
  norm("cls.predictions.transform.LayerNorm");
  add("cls.predictions.bias", "12", "0 0.1 -0.1");
  return text;
}

// Returns false if the text is no folder.
bool write_folder(const std::string& name, std::string_view text) {
  const std::string path = folder() / name;
  std::filesystem::create_directory(path);
  std::map<std::string, std::string_view, std::less<>> sections;
  static const std::string good = good_model();
  sections["model.safetensors"] = good;
  while (text.starts_with("=== ")) {
    const size_t end_of_line = std::min(text.find('\n'), text.size());
    const std::string_view file = text.substr(4, end_of_line - 4);
    if (std::find(files.begin(), files.end(), file) == files.end()) return false;
    const size_t next = text.find("\n=== ", end_of_line);
    const size_t begin = std::min(end_of_line + 1, text.size()),
                 end = next == text.npos ? text.size() : next + 1;
    sections[std::string(file)] = begin < end ? text.substr(begin, end - begin) : "";
    text.remove_prefix(end);
  }
  for (const std::string file : files) {
    const auto section = sections.find(file);
    std::filesystem::remove(path + "/" + file);
    if (section == sections.end()) continue;
    if (file != "model.safetensors") {
      write(name + "/" + file, section->second);
      continue;
    }
    const Contents arrays = parse_arrays(section->second);
    if (!accepts("", [&] { io::write_safetensors(path + "/" + file, arrays.views); })) return false;
  }
  return true;
}

// As accepts(). Options that do not go together with the folder's are named instead.
template <class Read>
bool accepts_folder(const std::string& path, Read read) {
  try {
    return accepts(path, read);
  } catch (const UsageError& error) {
    const std::string_view message = error.what();
    require(message.find("model.") != message.npos || message.find("data.") != message.npos,
            fmt::format("an error names neither {} nor an option: {}", path, message));
    return false;
  }
}

void require_equal(const ModelSource& source, TrainedModel& model, const ModelSource& same,
                   TrainedModel& again) {
  for (const char* key : exported_options)
    require(option_value(source.options, key) == option_value(same.options, key),
            fmt::format("{} changed when a model was exported again", key));
  require(source.threshold == same.threshold, "a threshold changed when a model was exported again");
  require(model.vocabulary == again.vocabulary, "a vocabulary changed when a model was exported again");
  require(model.bert.config.heads == again.bert.config.heads &&
              model.bert.config.layer_norm_epsilon == again.bert.config.layer_norm_epsilon,
          "heads or epsilon changed when a model was exported again");
  for (const auto& array : model.bert.store.named()) {
    auto before = model.file->values(array.name), after = again.file->values(array.name);
    if (array.name == name::segment_embeddings)  // both rows become the first
      before.resize(before.size() / 2), after.resize(after.size() / 2);
    require(before == after, array.name + " changed when a model was exported again");
  }
}

// Scores of two pairs, or the text of the error.
std::string scores_of(const std::string& path, bool text) {
  static const std::string ids = write("ids.tsv", "12 7\t7 12 30000\n5\t7\n"),
                           words = write("words.tsv", "how do i\ti do\nhow\t\xe4\xb8\xad i\n");
  try {
    const Ensemble models({path}, {{"run.threads", "1"}});
    return scores_text(models.score(models.read(text ? words : ids).pairs));
  } catch (const std::runtime_error& error) {  // a score that is not a number, data.max_tokens
    const std::string_view message = error.what();
    require(message.find(path) != message.npos, fmt::format("an error does not name {}: {}", path, message));
    return std::string(message.substr(message.find(path) + path.size()));
  }
}

// Returns whether the folder hf is read.
bool check_folder() {
  const std::string path = folder() / "hf", copy = folder() / "hg";  // names of one length, for messages
  std::optional<ModelSource> source;
  std::unique_ptr<TrainedModel> model;
  const bool read = accepts_folder(path, [&] {
    source = find_model(path, {{"run.threads", "1"}});
    model = std::make_unique<TrainedModel>(*source);
  });
  if (source) {
    Options options;
    options.data.train = write("train.tsv", "7 12\t12\t1\n12\t7\t0\n"), options.data.min_count = 1;
    options.data.counts = write("counts.json", R"({"how": 3, "do": 2, "i": 1, "7": 1})");
    options.data.text = source->options.data.text, options.data.lowercase = source->options.data.lowercase;
    options.data.max_tokens = 8, options.model.weights = path;
    accepts_folder(folder() / "", [&] {
      const RunSetup setup(options);
      const ModelOptions& found = setup.options.model;
      require(!model || (found.heads == model->options.model.heads &&
                         found.layer_norm_epsilon == model->options.model.layer_norm_epsilon),
              "train finds other heads or another epsilon in an exported folder than predict");
      const RunData data = read_run_data(setup);
      require(!model || !options.data.text || data.vocabulary == model->vocabulary,
              "train finds other tokens in an exported folder than predict");
    });
  }
  if (!read) return false;

  std::filesystem::remove_all(copy);
  export_model(copy, model->bert, model->vocabulary, model->options, source->threshold);
  const ModelSource same = find_model(copy, {{"run.threads", "1"}});
  TrainedModel again(same);
  require_equal(*source, *model, same, again);
  const bool text = source->options.data.text;
  require(scores_of(path, text) == scores_of(copy, text), "scores changed when a model was exported again");
  return true;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const bool good = write_folder("hf",
                                        "=== config.json\n{\"num_attention_heads\": 1}\n=== vocab.txt\n"
                                        "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n[NO]\n[YES]\n1\n2\n3\n4\n5\n") &&
                           check_folder();
  require(good, "a good folder is refused");
  if (write_folder("hf", text_of(data, size))) check_folder();
  return 0;
}
