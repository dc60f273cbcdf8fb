// Adam over gradients of shards (shards.h), divided as in ZeRO stage 1 (Rajbhandari et al. 2020, §5.1); see
// docs/scale.md. The flat buffers are cut into buckets, and each bucket into a slice for each rank, which
// updates it. Buckets travel in a fixed order, from the last to the first, beside the backward pass.
#pragma once
#include "adam.h"
#include "shards.h"

namespace warpbert {

class ShardedUpdate {
 public:
  ShardedUpdate(ParameterStore& store, Adam& adam, ProcessGroup& group, const Shards& shards);

  // Takes the gradients of a local shard, but not of the last, from the store's buffer.
  void add(int shard);
  // The last local shard: begin() after its losses; complete() for each matrix whose gradient is complete on
  // the side stream; finish() when all are complete on the main stream, which then follows the update. All
  // may be captured. *finite, on the device, becomes the least of all ranks; 0 leaves the weights as they are.
  void begin(kernels::AdamStep* steps, int* finite);
  void complete(const Parameter& matrix);
  void finish();

  // In place of these, after the last local shard of a first pass of two (FGM): keeps the sum for the second,
  // and completes gradient and master weights of p.
  void finish_first_pass(const Parameter& p);
  // Completes master weights, moments and EMA weights, of which this rank updates its slices.
  void gather();

 private:
  using Transfers = std::vector<ProcessGroup::Transfer>;
  struct Bucket {
    ShardSum sum;
    std::vector<const Parameter*> matrices;  // that lie in it, if only in part
    size_t incomplete = 0;                   // of them, in this pass
    DeviceArray<float> first_pass{};         // its sum over shards, of this slice
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
