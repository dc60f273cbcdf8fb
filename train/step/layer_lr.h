// Layer-wise learning-rate decay (Howard & Ruder 2018, §3.1, "discriminative fine-tuning").
#pragma once
#include "model/bert.h"

namespace warpbert {

// Sets Parameter::lr_scale: of L layers the l-th, from 1, learns at decay^(L + 1 − l) of the head's learning rate, the
// embeddings at embedding·decay^(L + 1). Call it before an Adam is made.
void set_layer_lr(Bert& bert, float decay, float embedding);

}  // namespace warpbert
