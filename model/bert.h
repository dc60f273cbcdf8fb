// BERT (Devlin et al. 2019): post-norm Transformer encoder (Vaswani et al. 2017). The MLM head's output
// matrix is the word embedding.
#pragma once
#include <deque>
#include <string>

#include "engine/ops.h"

namespace warpbert {

struct BertConfig {
  int vocabulary = 0;
  int layers = 12, hidden = 768, heads = 12, intermediate = 3072, max_positions = 512;
  float dropout = 0.1f;         // after the embedding and each sublayer
  float attention_dropout = 0;  // on attention probabilities
  float layer_norm_epsilon = 1e-12f;

  // Multiple of 64: fp32 rows of whole 256 bytes, for tensor cores.
  int padded_vocabulary() const { return (vocabulary + 63) / 64 * 64; }
  // Throws std::invalid_argument naming the setting.
  void check() const;
};

struct Linear {
  Parameter *weight, *bias;  // [out, in], [out]
};

struct EncoderLayer {
  Linear qkv, attention_output;  // [3H, H], [H, H]
  Norm attention_norm;
  Linear intermediate, output;  // [I, H], [H, I]
  Norm output_norm;
};

// The store owns the memory.
struct Bert {
  BertConfig config;
  ParameterStore store;

  Parameter *word, *position, *segment;  // [V padded, H], [P, H], [2, H]
  Norm embedding_norm;
  std::deque<EncoderLayer> layers;
  Linear transform;  // [H, H]
  Norm transform_norm;
  Parameter* output_bias;  // [V padded]

  explicit Bert(const BertConfig& config);  // declares only; store.allocate() comes next
  Bert(const Bert&) = delete;
};

// Hidden states of the last layer.                                                         -> [N, H]
Tensor encode(Tape&, const Bert&, const Packing&);

// Logits without bias.                                             x: [M, H] -> fp32 [M, V padded]
Tensor masked_language_model(Tape&, const Bert&, Tensor x);

// Matrices and embeddings normal(0, σ), truncated at 2σ; biases 0, gains 1 (Devlin, A.2). Only arrays whose
// names begin with `prefix`; values depend on (seed, name, element) alone.
void initialise(Bert&, uint64_t seed, float sigma = 0.02f, const std::string& prefix = "");

}  // namespace warpbert
