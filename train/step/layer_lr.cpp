#include "layer_lr.h"

#include <initializer_list>

namespace warpbert {

void set_layer_lr(Bert& bert, float decay, float embedding) {
  const auto set = [](float lr_scale, std::initializer_list<Parameter*> parameters) {
    for (Parameter* p : parameters) p->lr_scale = lr_scale;
  };
  float lr_scale = 1;
  for (auto l = bert.layers.rbegin(); l != bert.layers.rend(); ++l) {
    lr_scale *= decay;
    for (const Linear& linear : {l->qkv, l->attention_output, l->intermediate, l->output})
      set(lr_scale, {linear.weight, linear.bias});
    for (const Norm& norm : {l->attention_norm, l->output_norm}) set(lr_scale, {norm.gamma, norm.beta});
  }
  lr_scale *= decay * embedding;
  set(lr_scale,
      {bert.word, bert.position, bert.segment, bert.embedding_norm.gamma, bert.embedding_norm.beta});
}

}  // namespace warpbert
