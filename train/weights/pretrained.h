// A BERT model file: published weights (.npz or .safetensors) or a model of our own.
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

// Throws io::Error unless the array is floating point: others may be quantized codes.
void require_float(const io::ArrayInfo& array, const std::string& path);

class Pretrained {
 public:
  // Reads the file that find_weights() names once. Throws io::Error naming the array unless it is a complete
  // BERT in floating point without parts that are not computed here. Warns on stderr of arrays outside of
  // BERT.
  explicit Pretrained(const std::string& path);

  const std::string& path() const { return archive_->path(); }
  BertConfig shape() const { return shape_; }  // vocabulary, layers, hidden, intermediate, max_positions
  bool has_head() const { return has_head_; }
  // All gains 1, all biases 0.
  bool head_looks_untrained();
  // Vocabulary of a model that a run wrote; else nullopt.
  const std::optional<Vocabulary>& vocabulary() const { return vocabulary_; }
  const std::vector<std::string>& ignored() const { return ignored_; }
  // JSON of `__meta__`; "" if missing.
  const std::string& meta() const { return meta_; }

  // Hash of all weights by canonical name, independent of format, names and number types.
  uint64_t hash();

  // An array by canonical name, as [out, in]. Throws io::Error if a value is not finite.
  std::vector<float> values(const std::string& name);

  // Token t of `bert` gets row rows[t] of word embedding and output bias; without `rows`, row t. Without
  // `head` the masked-language head is unchanged.
  void load(Bert& bert, std::span<const int> rows = {}, bool head = true);

  // Warns on stderr of arrays read so far that look blank, as after a resumed download.
  void warn_of_blanks();

 private:
  struct Source {
    std::string name;  // in the file
    bool transposed;
  };
  std::vector<float> stored_values(const std::string& name);
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

// Configuration that shapes lack; 0: not given.
struct PublishedConfig {
  std::string what;  // names it in messages
  int heads = 0;
  double layer_norm_epsilon = 0;
  int vocabulary = 0;                      // without padding rows
  std::vector<std::string> warnings = {};  // not printed yet
};
// Parses bert_config.json (Google) or config.json (Hugging Face). Throws io::Error for anything but a JSON
// object, shapes other than those of `weights`, and models not computed here: activations other than GELU,
// relative positions, decoders, untied output matrices. Warns of tanh GELU, computed as erf GELU, and of
// padding rows.
PublishedConfig read_published_config(const std::string& text, const std::string& what,
                                      const Pretrained& weights);

}  // namespace warpbert
