// Names of BERT's arrays in files. Canonical: Hugging Face's BertForMaskedLM, dense weights [out, in].
#pragma once
#include <span>
#include <string>

namespace warpbert {

namespace name {
constexpr const char* word_embeddings = "bert.embeddings.word_embeddings.weight";
constexpr const char* segment_embeddings = "bert.embeddings.token_type_embeddings.weight";
constexpr const char* output_bias = "cls.predictions.bias";
// Copies of the tied word embedding and output bias.
constexpr const char* decoder_weight = "cls.predictions.decoder.weight";
constexpr const char* decoder_bias = "cls.predictions.decoder.bias";
// Not a model array: JSON as uint8 with what shapes do not tell.
constexpr const char* meta = "__meta__";
}  // namespace name

struct CanonicalName {
  std::string name;         // "": known, not part of the model (pooler, …)
  bool transposed = false;  // stored [in, out]
};

// Other names are unchanged. Only the name tells whether a square matrix is transposed.
//
//   Hugging Face   bert.encoder.layer.0.output.dense.weight     `bert.` optional; LayerNorm.gamma, .beta too
//   Google         bert/encoder/layer_0/output/dense/kernel     dense kernels are [in, out]
CanonicalName canonical_name(std::string name);

// Prefix of a wrapper: "module." (DataParallel), "_orig_mod." (torch.compile), …; "" if none. Throws
// io::Error naming `path` if several BERTs are wrapped.
std::string wrapper_prefix(std::span<const std::string> names, const std::string& path);

}  // namespace warpbert
