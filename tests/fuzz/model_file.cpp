// A model file: members of an .npz (arrays.h). Loaded and saved, the model is the same.
#include "train/weights/model_file.h"
#include "arrays.h"
#include "train/step/session.h"
#include "train/weights/resolve.h"

using namespace warpbert;
using namespace warpbert::fuzz;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string path = folder() / "model.npz", again = folder() / "again.npz";
  if (!write_archive(path, text_of(data, size))) return 0;
  accepts(path, [&] {
    Pretrained file(path);
    const ModelOptions options = resolve_model({}, &file).model;
    file.head_looks_untrained();
    BertConfig config;  // heads that a file names, or a guess, may not fit: the option is named
    if (!accepts<UsageError>("model.", [&] { config = bert_config(options, file.shape().vocabulary); }))
      return;
    if (!file.has_head() || !file.vocabulary()) return;
    static Device device;
    Bert bert(config);
    bert.store.allocate(device, Precision::fp32, false);
    file.load(bert);
    save_model(again, bert, *file.vocabulary());

    Pretrained saved(again);
    require(saved.vocabulary() == file.vocabulary(), "a model that was saved again has another vocabulary");
    for (const auto& array : bert.store.named())
      require(saved.values(array.name) == file.values(array.name),
              array.name + " changed when it was saved again");
    const ModelOptions same = resolve_model({}, &saved).model;
    require(same.heads == options.heads && float(same.layer_norm_epsilon) == config.layer_norm_epsilon,
            "a model that was saved again has other heads or another epsilon");
  });
  return 0;
}
