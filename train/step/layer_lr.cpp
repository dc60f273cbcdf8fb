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
    for (const Linear& linear : {l->qkv, l->attention_output, l->intermediate, l->output})
      scale(rate, {linear.weight, linear.bias});
    for (const Norm& norm : {l->attention_norm, l->output_norm}) scale(rate, {norm.gamma, norm.beta});
  }
  rate *= decay * embedding;
  scale(rate, {bert.word, bert.position, bert.segment, bert.embedding_norm.gamma, bert.embedding_norm.beta});
}

}  // namespace warpbert
