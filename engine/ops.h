// The ops: forward, and what it appends to the tape. Each adds to (or first writes) the gradients of its inputs and
// parameters; formulas stand in kernels/kernels.h. All shapes: rows × columns, rows = tokens or targets.
//
// Inputs of gelu, attention and cross_entropy, and add_dropout_norm's x, have no other reader: std::invalid_argument.
#pragma once
#include "parameters.h"
#include "tape.h"

namespace warpbert {

// Parameters of one layer norm.
struct Norm {
  Parameter *gamma, *beta;  // [H] each
  float epsilon;
};

// y = x·Wᵀ, no bias (the kernel that reads y adds it).              x: [N, in], weight: [out, in] -> [N, out]
Tensor linear(Tape&, Tensor x, Parameter& weight, const char* name = "linear");
// The same with the result in fp32, for logits.
Tensor linear_f32(Tape&, Tensor x, Parameter& weight, const char* name = "logits");

// y = gelu(x + bias)                                                                        [N, C] -> [N, C]
Tensor gelu(Tape&, Tensor x, Parameter& bias);

// y = dropout(LayerNorm(x))                                                                 [N, H] -> [N, H]
Tensor layer_norm(Tape&, Tensor x, const Norm&, kernels::Dropout dropout = {});

// y = LayerNorm(residual + dropout(x + bias)). Overwrites x with the sum.
Tensor add_dropout_norm(Tape&, Tensor residual, Tensor x, Parameter& bias, const Norm&, kernels::Dropout dropout = {});

// Packed sequences: the rows of a batch and where each sequence begins. All pointers on the device.
struct Packing {
  kernels::Rows rows;
  const int* ids;        // [capacity] row of the word table
  const int* positions;  // [capacity]
  const int* order;      // [capacity] row numbers sorted by (id, row)
  const int* starts;     // [sequences + 1]
  int sequences;
  int max_length;     // no sequence is longer
  int max_positions;  // rows of the position table
};

// y = word[id] + position[position] + segment[0]                                                     -> [N, H]
Tensor embedding(Tape&, const Packing&, Parameter& word, Parameter& position, Parameter& segment);

// Multi-head self-attention inside each sequence, before the output projection.        qkv: [N, 3H] -> [N, H]
Tensor attention(Tape&, Tensor qkv, Parameter& bias, const Packing&, int heads, kernels::Dropout dropout = {});

// y[m] = x[index[m]]; index: device, ascending, no row twice                                [N, H] -> [M, H]
Tensor gather(Tape&, Tensor x, const int* index, kernels::Rows targets);

// Softmax cross-entropy of logits + bias over the first `classes` columns, and its gradient times *scale; the logits
// are overwritten. Returns loss[m] on the device; backward starts here.             logits: fp32 [M, ≥ classes]
float* cross_entropy(Tape&, Tensor logits, Parameter& bias, const kernels::Target* targets, const float* scale,
                     int classes);

}  // namespace warpbert
