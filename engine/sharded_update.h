// Adam over gradients of shards (shards.h), as in ZeRO stage 1 (Rajbhandari et al. 2020, §5.1). Each rank
// updates its slice of each bucket. Buckets travel from the last to the first, beside the backward pass
// (docs/scale.md).
#pragma once
#include "adam.h"
#include "shards.h"

namespace warpbert {

class ShardedUpdate {
 public:
  ShardedUpdate(ParameterStore& store, Adam& adam, ProcessGroup& group, const Shards& shards);

  // Takes the gradients of a local shard, except the last.
  void add(int shard);
  // For the last local shard: begin() after its losses; complete() per matrix with a complete gradient on the
  // side stream; finish() once the main stream has all gradients. The main stream then waits for the update.
  // Capturable. *finite (device) becomes the least of all ranks; 0 skips the update.
  void begin(kernels::AdamStep* steps, int* finite);
  void complete(const Parameter& matrix);
  void finish();

  // Replaces these in the first pass of FGM: keeps the sum, and completes gradient and master weights of p.
  void finish_first_pass(const Parameter& p);
  // Completes master weights, moments and EMA weights on all ranks.
  void gather();

 private:
  using Transfers = std::vector<ProcessGroup::Transfer>;
  struct Bucket {
    ShardSum sum;
    std::vector<const Parameter*> matrices;  // in it, at least in part
    size_t incomplete = 0;                   // matrices, in this pass
    DeviceArray<float> first_pass{};         // this slice's sum over shards
  };
  void cut_into_buckets(const Shards& shards);
  void send(Bucket& bucket, kernels::Stream after);
  void update(const Bucket& bucket, const int* do_update);
  void append_slices(Transfers& parts, const Bucket& bucket, void* data, size_t value_bytes, size_t first,
                     size_t last) const;
  void append_weights(Transfers& parts, const Bucket& bucket) const;
  void gather(float* buffer, size_t first, size_t last);

  ParameterStore& store_;
  Device& device_;
  Adam& adam_;
  ProcessGroup& group_;
  std::vector<Bucket> buckets_;  // by address; the last one also has all vectors and embeddings
  size_t unsent_ = 0;            // matrices' buckets [0, unsent_)
  kernels::AdamStep* steps_ = nullptr;
  int* finite_ = nullptr;
  DeviceArray<double> squares_;  // a block of 2,048 values each
  DeviceArray<float> workspace_;
};

}  // namespace warpbert
