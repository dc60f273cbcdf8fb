#include "layer_lr.h"

#include <initializer_list>

namespace warpbert {

void set_layer_lr(Bert& bert, float decay, float embedding) {
  const auto scale = [](float rate, std::initializer_list<Parameter*> parameters) {
    for (Parameter* p : parameters) p->lr_scale = rate;
  };
  float rate = 1;
  for (auto l = bert.layers.rbegin(); l != bert.layers.rend(); ++l) {
    rate *= decay;
    scale(rate,
          {l->qkv.weight, l->qkv.bias, l->output.weight, l->output.bias, l->widen.weight, l->widen.bias});
    scale(rate, {l->narrow.weight, l->narrow.bias, l->attention_norm.gamma, l->attention_norm.beta});
    scale(rate, {l->output_norm.gamma, l->output_norm.beta});
  }
  rate *= decay * embedding;
  scale(rate, {bert.word, bert.position, bert.segment, bert.embedding_norm.gamma, bert.embedding_norm.beta});
}

}  // namespace warpbert
