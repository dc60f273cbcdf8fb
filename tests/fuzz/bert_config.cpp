// bert_config.json of a published model. The config.json that we export gives the same configuration.
#include "arrays.h"
#include "train/weights/pretrained.h"
#include "train/weights/resolve.h"
#include "train/weights/transformers_files.h"

using namespace warpbert;
using namespace warpbert::fuzz;

namespace {

Pretrained& model() {
  static Pretrained instance = [] {
    const std::string path = folder() / "model.npz";
    std::string text =
        "@ bert.embeddings.word_embeddings.weight float32 16,32\n1 2\n"
        "@ bert.embeddings.position_embeddings.weight float32 16,32\n1 2\n"
        "@ bert.embeddings.token_type_embeddings.weight float32 2,32\n1 2\n";
    const auto pair = [&](const std::string& name, const char* shape, const char* bias) {
      text += fmt::format("@ bert.{}.weight float32 {}\n1 2\n@ bert.{}.bias float32 {}\n0\n", name, shape,
                          name, bias);
    };
    pair("embeddings.LayerNorm", "32", "32");
    const std::string layer = "encoder.layer.0.";
    for (const char* part : {"query", "key", "value"}) pair(layer + "attention.self." + part, "32,32", "32");
    pair(layer + "attention.output.dense", "32,32", "32");
    pair(layer + "attention.output.LayerNorm", "32", "32");
    pair(layer + "intermediate.dense", "48,32", "48");
    pair(layer + "output.dense", "32,48", "32");
    pair(layer + "output.LayerNorm", "32", "32");
    require(write_archive(path, text), "the model cannot be written");
    return Pretrained(path);
  }();
  return instance;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string path = write("bert_config.json", text_of(data, size));
  Options typed;
  typed.model.config = path;
  ResolvedOptions published;
  if (!accepts(path, [&] { published = resolve_model(typed, &model()); })) return 0;
  const ModelOptions& options = published.model;
  require(options.heads > 0 && options.layer_norm_epsilon > 0, "a configuration is left open");
  require(published.real_rows >= 0 && published.real_rows <= 16, "a vocabulary is larger than its matrix");
  Options resolved;
  resolved.data.train = "train.tsv", resolved.model = options;
  if (options.heads <= 1024)  // which BertConfig refuses
    require(accepts<UsageError>("", [&] { read_options(write("config.ini", config_text(resolved))); }),
            "the configuration of a run cannot be read again");
  BertConfig config = model().shape();
  config.heads = options.heads, config.layer_norm_epsilon = float(options.layer_norm_epsilon);
  const PublishedConfig again = read_published_config(config_json(config), "our config.json", model());
  require(again.heads == config.heads && float(again.layer_norm_epsilon) == config.layer_norm_epsilon,
          "an exported configuration reads otherwise");
  return 0;
}
