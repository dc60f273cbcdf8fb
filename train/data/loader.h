// Makes the batches of training, one thread ahead of their use.
//
// The batches are those of training_batch over consecutive pieces of shuffled(examples, masking.seed(), epoch); the
// last step of an epoch holds what is left. The stream has no end: epoch follows epoch.
#pragma once
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <exception>
#include <mutex>
#include <span>
#include <thread>
#include <vector>

#include "batch.h"

namespace warpbert {

// The order of an epoch: a Fisher–Yates shuffle (Durstenfeld 1964) with random numbers of (seed, epoch).
std::vector<Example> shuffled(std::span<const Example> examples, uint64_t seed, uint32_t epoch);

class Loader {
 public:
  // Starts at step `step` of `epoch`, both from 0 (step may be anything up to steps_per_epoch(), which means the
  // next epoch's first). A step has batch_size pairs, in parts of at most part_size (0: one part). `pairs` must outlive
  // the loader. Throws std::invalid_argument for no examples, sizes below 1 or a step beyond the epoch.
  Loader(const TokenPairs& pairs, std::vector<Example> examples, Masking masking, int batch_size, int part_size = 0,
         uint32_t epoch = 0, uint32_t step = 0);
  ~Loader();  // stops the thread, wherever it is
  Loader(const Loader&) = delete;
  Loader& operator=(const Loader&) = delete;

  // The next batch, waiting for it if need be. Rethrows what went wrong in the thread, once the batches before are
  // taken, and again whenever it is called after that.
  Batch next();
  std::vector<Batch> next_step();  // the next up to one that ends a step

  int steps_per_epoch() const { return int((examples_.size() + batch_size_ - 1) / batch_size_); }

 private:
  void produce(std::stop_token stop, uint32_t epoch, uint32_t step);
  bool push(Batch batch, const std::stop_token& stop);

  static constexpr size_t queue_length = 4;

  const TokenPairs& pairs_;
  const std::vector<Example> examples_;
  const Masking masking_;
  const int batch_size_, part_size_;

  std::mutex mutex_;
  std::condition_variable_any changed_;  // a batch came or went, or the thread failed
  std::deque<Batch> queue_;
  std::exception_ptr failure_;
  std::jthread thread_;  // last: it uses all of the above
};

}  // namespace warpbert
