// A BERT in a file: pretrained weights as others publish them (.npz or .safetensors), or a model of our own.
#pragma once
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "io/array.h"
#include "model/bert.h"
#include "train/config/options.h"
#include "train/data/vocabulary.h"

namespace warpbert {

class Pretrained {
 public:
  // Opens the file, reads all of it once (so that damage is named before anything else is concluded), recognises its
  // names and checks that a whole BERT is there, with or without the masked-language head. io::Error names the array,
  // and shapes expected and found.
  explicit Pretrained(const std::string& path);

  const std::string& path() const { return archive_->path(); }
  BertConfig shape() const { return shape_; }  // vocabulary, layers, hidden, intermediate, max_positions
  bool has_head() const { return has_head_; }
  // Whether the head is as it was initialised: gains 1 and biases 0, to the last one. Some published files are so.
  bool head_looks_untrained();
  // Of a model that a run wrote: its vocabulary is to be kept.
  const std::optional<Vocabulary>& vocabulary() const { return vocabulary_; }
  const std::vector<std::string>& ignored() const { return ignored_; }  // arrays that are no part of the model
  // The JSON that our converter, and our models, have in `__meta__`; or "".
  const std::string& meta() const { return meta_; }

  // An array of the model by its canonical name, as if it were stored [out, in].
  // Throws io::Error where one is not finite.
  std::vector<float> values(const std::string& name);

  // Copies the weights: token t of `bert` starts as row rows[t] of the file's word embedding and output bias. Without
  // `head` the masked-language head stays as it is.
  void load(Bert& bert, std::span<const int> rows, bool head);
  void load(Bert& bert);  // all rows in their order, and the head

 private:
  struct Source {
    std::string name;  // in the file
    bool transposed;
  };
  std::vector<float> stored_values(const std::string& name);  // whatever they are
  void recognise();
  void check_shapes();
  void check_tied(const char* copy, const char* original);
  std::vector<int64_t> canonical_shape(const std::string& name) const;

  std::unique_ptr<io::Archive> archive_;
  std::map<std::string, Source> sources_;  // by canonical name
  std::vector<std::string> ignored_;
  BertConfig shape_;
  bool has_head_ = false;
  std::optional<Vocabulary> vocabulary_;
  std::string meta_;
};

// What a configuration file says beside the shapes.
struct ConfigFacts {
  int heads = 0;                  // 0: nothing
  double layer_norm_epsilon = 0;  // 0: nothing
};
// Google's bert_config.json, Hugging Face's config.json; `what` names it in messages. Throws io::Error for text that is
// no JSON object, for a model that is not run here (another activation than erf-GELU, relative positions), and for the
// configuration of a model of other shapes than `weights`.
ConfigFacts read_config_facts(const std::string& text, const std::string& what, const Pretrained& weights);

// Fills in what is left open: shapes from the weights, then heads and ε from model.config, the converter's notes, or a
// (bert_)config.json beside the weights. `pretrained` may be null. A guess is a warning on stderr.
void resolve(ModelOptions& options, const Pretrained* pretrained);

}  // namespace warpbert
