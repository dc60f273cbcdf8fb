// The names BERT's arrays have in files. Ours are Hugging Face's, of BertForMaskedLM, with dense weights [out, in].
#pragma once
#include <optional>
#include <string>

namespace warpbert {

namespace name {
constexpr const char* word_embeddings = "bert.embeddings.word_embeddings.weight";
constexpr const char* output_bias = "cls.predictions.bias";
// Copies of the two above that some files hold; the model ties them.
constexpr const char* decoder_weight = "cls.predictions.decoder.weight";
constexpr const char* decoder_bias = "cls.predictions.decoder.bias";
// No array of the model: JSON as uint8, of what the shapes do not tell.
constexpr const char* meta = "__meta__";
}  // namespace name

struct CanonicalName {
  std::string name;         // "": known, but no part of the model (pooler, next-sentence head, optimizer state, …)
  bool transposed = false;  // stored [in, out]
};

// What an array of a file is, told by its name alone: a square matrix does not show whether it is transposed.
//
//   Hugging Face   bert.encoder.layer.0.output.dense.weight     without `bert.` too; LayerNorm.gamma, .beta too
//   Google         bert/encoder/layer_0/output/dense/kernel     dense kernels are [in, out]
//
// Any other name is passed through as it is.
CanonicalName canonical_name(std::string name);

}  // namespace warpbert
