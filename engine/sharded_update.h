// Adam over gradients of shards (shards.h), divided as in ZeRO stage 1 (Rajbhandari et al. 2020, §5.1): rank
// r updates its slice of the flat buffers, then everybody gets the weights that kernels read.
//
// Bytes a parameter and step that a rank of n sends, with a shard each: 4·(n − 1)/n of gradients, and as many
// receives; then 2·(n − 1)/n of bf16 weights, 4·(n − 1)/n of fp32.
#pragma once
#include "adam.h"
#include "shards.h"

namespace warpbert {

class ShardedUpdate {
 public:
  ShardedUpdate(ParameterStore& store, Adam& adam, ProcessGroup& group, const Shards& shards);

  // Takes the gradient of the next local shard from the store's buffer.
  void add() { sum_.add(store_.grads()); }
  // After the last shard of a first pass: keeps the sum, and completes gradient and master weights of p. The
  // shards of a second pass follow.
  void finish_first_pass(const Parameter& p);
  // After the last: updates the weights. *finite, on the device, becomes the least of all ranks.
  void finish(const AdamSteps& steps, int* finite);
  // Completes masters, moments and EMA weights, of which this rank updates its slice.
  void gather();

 private:
  void gather(void* data, size_t value_bytes, size_t first, size_t last);

  ParameterStore& store_;
  Adam& adam_;
  ProcessGroup& group_;
  ShardSum sum_;
  size_t vectors_begin_ = 0, vectors_end_ = 0;
  bool has_first_pass_ = false;
  DeviceArray<float> first_pass_;  // its sum over shards, of this slice
  DeviceArray<double> squares_;    // a block of 2,048 values each
  DeviceArray<kernels::AdamStep> records_;
};

}  // namespace warpbert
