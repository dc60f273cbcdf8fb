// Differentiable ops; formulas: kernels/kernels.h. Inputs of gelu, attention and cross_entropy, and x of
// add_dropout_norm, must have no other reader: else std::invalid_argument.
#pragma once
#include "tape.h"

namespace warpbert {

struct Norm {
  Parameter *gamma, *beta;  // [H]
  float epsilon;
};

// y = x·Wᵀ, without bias.                                     x: [N, in], weight: [out, in] -> [N, out]
Tensor linear(Tape&, Tensor x, Parameter& weight, const char* name = "linear");
// Result in fp32, for logits.
Tensor linear_f32(Tape&, Tensor x, Parameter& weight, const char* name = "logits");

// y = gelu(x + bias)                                                               [N, C] -> [N, C]
Tensor gelu(Tape&, Tensor x, Parameter& bias);

// y = dropout(LayerNorm(x))                                                        [N, H] -> [N, H]
Tensor layer_norm(Tape&, Tensor x, const Norm&, kernels::Dropout dropout = {});

// y = LayerNorm(residual + dropout(x + bias)); x becomes the sum.                  [N, H] -> [N, H]
Tensor add_dropout_norm(Tape&, Tensor residual, Tensor x, Parameter& bias, const Norm&,
                        kernels::Dropout dropout = {});

// Packed batch; device pointers.
struct Packing {
  kernels::Rows rows;
  const int* ids;        // [capacity] row of the word table
  const int* positions;  // [capacity]
  const int* order;      // [capacity] row numbers sorted by (id, row)
  kernels::Sequences sequences;
};

// Sum of the three tables' rows.                                                         -> [N, H]
Tensor embedding(Tape&, const Packing&, Parameter& word, Parameter& position, Parameter& segment);

// Self-attention without the output projection.                               qkv: [N, 3H] -> [N, H]
Tensor attention(Tape&, Tensor qkv, Parameter& bias, const Packing&, int heads,
                 kernels::Dropout dropout = {});

// y[m] = x[index[m]]; index: device, ascending, unique                             [N, H] -> [M, H]
Tensor gather(Tape&, Tensor x, const int* index, kernels::Rows targets);

// The gradient, times *scale, overwrites the logits. Returns loss[m] on the device; backward starts here.
//                                                                             logits: fp32 [M, ≥ classes]
float* cross_entropy(Tape&, Tensor logits, Parameter& bias, const kernels::Target* targets,
                     const float* scale, int classes);

}  // namespace warpbert
