// Layer-wise learning-rate decay (Howard & Ruder 2018, §3.1).
#pragma once
#include "model/bert.h"

namespace warpbert {

// Sets Parameter::lr_scale: 1 for the head, decay^(L + 1 − l) for layer l of L (from 1),
// embedding·decay^(L + 1) for the embeddings. Call before constructing Adam.
void set_layer_lr(Bert& bert, float decay, float embedding);

}  // namespace warpbert
