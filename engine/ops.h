// Differentiable ops: forward, plus a backward closure on the tape that writes or adds to gradients.
// Formulas: kernels/kernels.h. Shapes: [rows, columns], rows = tokens or targets.
//
// Inputs of gelu, attention and cross_entropy, and x of add_dropout_norm, must have no other reader: else
// std::invalid_argument.
#pragma once
#include "tape.h"

namespace warpbert {

struct Norm {
  Parameter *gamma, *beta;  // [H] each
  float epsilon;
};

// y = x·Wᵀ; the kernel that reads y adds the bias.            x: [N, in], weight: [out, in] -> [N, out]
Tensor linear(Tape&, Tensor x, Parameter& weight, const char* name = "linear");
// linear with an fp32 result, for logits.
Tensor linear_f32(Tape&, Tensor x, Parameter& weight, const char* name = "logits");

// y = gelu(x + bias)                                                               [N, C] -> [N, C]
Tensor gelu(Tape&, Tensor x, Parameter& bias);

// y = dropout(LayerNorm(x))                                                        [N, H] -> [N, H]
Tensor layer_norm(Tape&, Tensor x, const Norm&, kernels::Dropout dropout = {});

// y = LayerNorm(residual + dropout(x + bias)). Overwrites x with the sum.          [N, H] -> [N, H]
Tensor add_dropout_norm(Tape&, Tensor residual, Tensor x, Parameter& bias, const Norm&,
                        kernels::Dropout dropout = {});

// Packed sequences of a batch. All pointers are device pointers.
struct Packing {
  kernels::Rows rows;
  const int* ids;        // [capacity] row of the word table
  const int* positions;  // [capacity]
  const int* order;      // [capacity] row numbers sorted by (id, row)
  kernels::Sequences sequences;
};

// y = word[id] + position[position] + segment[0]                                         -> [N, H]
Tensor embedding(Tape&, const Packing&, Parameter& word, Parameter& position, Parameter& segment);

// Multi-head self-attention within each sequence, before the output projection.    qkv: [N, 3H] -> [N, H]
Tensor attention(Tape&, Tensor qkv, Parameter& bias, const Packing&, int heads,
                 kernels::Dropout dropout = {});

// y[m] = x[index[m]]; index: device, strictly ascending                            [N, H] -> [M, H]
Tensor gather(Tape&, Tensor x, const int* index, kernels::Rows targets);

// Softmax cross-entropy of logits + bias over the first `classes` columns; *scale times its gradient
// overwrites the logits. Returns loss[m] on the device; backward starts here.
//                                                                          logits: fp32 [M, ≥ classes]
float* cross_entropy(Tape&, Tensor logits, Parameter& bias, const kernels::Target* targets,
                     const float* scale, int classes);

}  // namespace warpbert
