// A BERT model file: published pretrained weights (.npz or .safetensors), or a model of our own.
#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "io/array.h"
#include "model/bert.h"
#include "train/config/options.h"
#include "train/data/vocabulary.h"

namespace warpbert {

// Throws io::Error unless the array holds floating-point numbers: others are codes of a quantized model, or
// bits of another type.
void require_float(const io::ArrayInfo& array, const std::string& path);

class Pretrained {
 public:
  // Opens the file that find_weights() names and checks it: whole (read once), floating point, a complete
  // BERT with or without masked-language head, and nothing inside it that is not computed here. Throws
  // io::Error naming the array. Warns on stderr of arrays outside of BERT, which are left out.
  explicit Pretrained(const std::string& path);

  const std::string& path() const { return archive_->path(); }
  BertConfig shape() const { return shape_; }  // vocabulary, layers, hidden, intermediate, max_positions
  bool has_head() const { return has_head_; }
  // Returns whether all gains are 1 and all biases 0, as in some published files.
  bool head_looks_untrained();
  // Vocabulary of a model that a run wrote; else nullopt.
  const std::optional<Vocabulary>& vocabulary() const { return vocabulary_; }
  const std::vector<std::string>& ignored() const { return ignored_; }  // arrays not part of the model
  // JSON of `__meta__` in our converter's files and our models; "" if missing.
  const std::string& meta() const { return meta_; }

  // Hashes all weights by canonical name. The file's format, names and number types do not matter.
  uint64_t hash();

  // An array by canonical name, as [out, in]. Throws io::Error if a value is not finite.
  std::vector<float> values(const std::string& name);

  // Copies the weights: token t of `bert` gets row rows[t] of the word embedding and output bias; without
  // rows, row t. Without `head` the masked-language head stays unchanged.
  void load(Bert& bert, std::span<const int> rows = {}, bool head = true);

  // Warns on stderr if arrays read so far are constant or zero in large part, as after a resumed download.
  void warn_of_blanks();

 private:
  struct Source {
    std::string name;  // in the file
    bool transposed;
  };
  std::vector<float> stored_values(const std::string& name);  // finite or not
  std::vector<float> finite_values(const std::string& name);
  void recognise();
  void check_shapes();
  void check_kinds(const std::set<std::string>& expected);
  void check_tied(const char* copy, const char* original);
  std::vector<int64_t> canonical_shape(const std::string& name) const;

  std::unique_ptr<io::Archive> archive_;
  std::map<std::string, Source> sources_;  // by canonical name
  std::vector<std::string> ignored_, blank_;
  BertConfig shape_;
  bool has_head_ = false;
  std::optional<Vocabulary> vocabulary_;
  std::string meta_;
};

// Configuration that shapes do not tell; 0: not given.
struct PublishedConfig {
  std::string what;  // names it in messages
  int heads = 0;
  double layer_norm_epsilon = 0;
  int vocabulary = 0;                      // rows of the word embedding without padding
  std::vector<std::string> warnings = {};  // of what is computed otherwise or guessed; not printed yet
};
// Parses bert_config.json (Google) or config.json (Hugging Face); `what` names it in messages. Throws
// io::Error for anything but a JSON object, models that are not computed here (activations other than GELU,
// relative positions, decoders, untied output matrices), and shapes other than those of `weights`. Returns
// warnings of tanh GELU, which is computed as erf GELU, and of padding rows of the word embedding.
PublishedConfig read_published_config(const std::string& text, const std::string& what,
                                      const Pretrained& weights);

}  // namespace warpbert
