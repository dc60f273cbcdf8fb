#include "bert.h"

#include <fmt/format.h>

#include <stdexcept>

#include "engine/ranges.h"

namespace warpbert {

// Dropout sites: no two dropouts share a mask.
constexpr uint32_t embedding_site = 0, first_layer_site = 16, sites_per_layer = 4;

void BertConfig::check() const {
  const auto refuse = [](const std::string& why) { throw std::invalid_argument(why); };
  if (vocabulary < 8) refuse(fmt::format("a vocabulary of {} has nothing but special tokens", vocabulary));
  if (layers < 1) refuse(fmt::format("model.layers = {}: at least 1", layers));
  if (heads < 1 || hidden % heads)
    refuse(fmt::format("model.hidden = {} does not divide by model.heads = {}", hidden, heads));
  const int size = hidden / heads;
  if (size != 16 && size != 32 && size != 64 && size != 128)
    refuse(fmt::format("model.hidden / model.heads = {} / {} = {}: heads of 16, 32, 64 or 128 are supported",
                       hidden, heads, size));
  if (hidden > 1024) refuse(fmt::format("model.hidden = {}: at most 1024", hidden));
  if (intermediate < 8 || intermediate % 8)
    refuse(fmt::format("model.intermediate = {}: a multiple of 8", intermediate));
  if (max_positions < 1) refuse(fmt::format("model.max_positions = {}: at least 1", max_positions));
  if (!(layer_norm_epsilon > 0))
    refuse(fmt::format("model.layer_norm_epsilon = {}: above 0, as a float", layer_norm_epsilon));
}

static Norm add_norm(ParameterStore& store, const std::string& name, int hidden, float epsilon) {
  return {&store.add(ParameterKind::vector, hidden, 1, name + ".weight"),
          &store.add(ParameterKind::vector, hidden, 1, name + ".bias"), epsilon};
}

static Linear add_linear(ParameterStore& store, const std::string& name, int out, int in) {
  return {&store.add(ParameterKind::matrix, out, in, name + ".weight"),
          &store.add(ParameterKind::vector, out, 1, name + ".bias")};
}

// One GEMM computes all three; files hold them separately.
static Linear add_qkv(ParameterStore& store, const std::string& name, int hidden) {
  const auto pieces = [&](const char* what) {
    std::vector<Piece> all;
    for (const char* part : {"query", "key", "value"})
      all.push_back({name + "." + part + "." + what, int(all.size()) * hidden, hidden});
    return all;
  };
  return {&store.add(ParameterKind::matrix, 3 * hidden, hidden, pieces("weight")),
          &store.add(ParameterKind::vector, 3 * hidden, 1, pieces("bias"))};
}

Bert::Bert(const BertConfig& c) : config(c) {
  config.check();
  const int H = c.hidden, V = c.padded_vocabulary();
  const std::string e = "bert.embeddings.";
  word = &store.add(ParameterKind::embedding, V, H, {{e + "word_embeddings.weight", 0, c.vocabulary}});
  position = &store.add(ParameterKind::embedding, c.max_positions, H, e + "position_embeddings.weight");
  segment = &store.add(ParameterKind::embedding, 2, H, e + "token_type_embeddings.weight");
  embedding_norm = add_norm(store, e + "LayerNorm", H, c.layer_norm_epsilon);
  for (int i = 0; i < c.layers; i++) {
    const std::string l = fmt::format("bert.encoder.layer.{}.", i);
    EncoderLayer& layer = layers.emplace_back();
    layer.qkv = add_qkv(store, l + "attention.self", H);
    layer.attention_output = add_linear(store, l + "attention.output.dense", H, H);
    layer.attention_norm = add_norm(store, l + "attention.output.LayerNorm", H, c.layer_norm_epsilon);
    layer.intermediate = add_linear(store, l + "intermediate.dense", c.intermediate, H);
    layer.output = add_linear(store, l + "output.dense", H, c.intermediate);
    layer.output_norm = add_norm(store, l + "output.LayerNorm", H, c.layer_norm_epsilon);
  }
  const std::string p = "cls.predictions.";
  transform = add_linear(store, p + "transform.dense", H, H);
  transform_norm = add_norm(store, p + "transform.LayerNorm", H, c.layer_norm_epsilon);
  output_bias = &store.add(ParameterKind::vector, V, 1, {{p + "bias", 0, c.vocabulary}});
}

// Post-norm (Vaswani et al. 2017, §3.1). Shapes: qkv [N, 3H], intermediate [N, I], others [N, H].
static Tensor encoder_layer(Tape& t, const BertConfig& c, const EncoderLayer& w, Tensor x,
                            const Packing& batch, uint32_t site) {
  Tensor qkv = linear(t, x, *w.qkv.weight, "qkv");
  Tensor context = attention(t, qkv, *w.qkv.bias, batch, c.heads, t.dropout(c.attention_dropout, site));
  Tensor mixed = linear(t, context, *w.attention_output.weight, "attention output");
  x = add_dropout_norm(t, x, mixed, *w.attention_output.bias, w.attention_norm,
                       t.dropout(c.dropout, site + 1));
  Tensor intermediate = gelu(t, linear(t, x, *w.intermediate.weight, "intermediate"), *w.intermediate.bias);
  Tensor output = linear(t, intermediate, *w.output.weight, "output");
  return add_dropout_norm(t, x, output, *w.output.bias, w.output_norm, t.dropout(c.dropout, site + 2));
}

Tensor encode(Tape& t, const Bert& bert, const Packing& batch) {
  const BertConfig& c = bert.config;
  Tensor x = embedding(t, batch, *bert.word, *bert.position, *bert.segment);  // [N, H]
  x = layer_norm(t, x, bert.embedding_norm, t.dropout(c.dropout, embedding_site));
  uint32_t site = first_layer_site;
  for (const EncoderLayer& layer : bert.layers) {
    const Range range("layer", Category::forward, (site - first_layer_site) / sites_per_layer);
    x = encoder_layer(t, c, layer, x, batch, site);
    site += sites_per_layer;
  }
  return x;
}

Tensor masked_language_model(Tape& t, const Bert& bert, Tensor x) {
  x = gelu(t, linear(t, x, *bert.transform.weight, "transform"), *bert.transform.bias);  // [M, H]
  x = layer_norm(t, x, bert.transform_norm);
  return linear_f32(t, x, *bert.word, "logits");  // [M, V padded]
}

}  // namespace warpbert
