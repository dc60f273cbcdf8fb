#include "loader.h"
#include "engine/random.h"

#include <algorithm>
#include <stdexcept>
#include <utility>

#include "engine/ranges.h"

namespace warpbert {

std::vector<Example> shuffled(std::span<const Example> examples, uint64_t seed, uint32_t epoch) {
  std::vector<Example> order(examples.begin(), examples.end());
  for (size_t i = order.size(); i > 1; i--) {
    const uint32_t random = random4(seed, epoch, site::shuffling, i).v[0];
    std::swap(order[i - 1], order[multiply_high(random, uint32_t(i))]);
  }
  return order;
}

Loader::Loader(const TokenPairs& pairs, std::vector<Example> examples, Masking masking, int batch_size,
               int part_size, uint32_t epoch, uint32_t step)
    : pairs_(pairs),
      examples_(std::move(examples)),
      masking_(masking),
      batch_size_(batch_size),
      part_size_(part_size ? std::min(part_size, batch_size) : batch_size) {
  if (examples_.empty()) throw std::invalid_argument("loader: there are no rows to train on");
  if (batch_size < 1 || part_size < 0) throw std::invalid_argument("loader: the batch size is below 1");
  if (step > uint32_t(steps_per_epoch())) throw std::invalid_argument("loader: the epoch has fewer steps");
  thread_ = std::jthread([=, this](std::stop_token stop) { produce(stop, epoch, step); });
}

Loader::~Loader() = default;  // jthread requests a stop and joins

void Loader::produce(std::stop_token stop, uint32_t epoch, uint32_t step) {
  name_thread("loader");
  try {
    for (;; epoch++, step = 0) {
      const std::vector<Example> order = shuffled(examples_, masking_.seed(), epoch);
      const size_t size = size_t(batch_size_);
      for (size_t first = step * size; first < order.size(); first += size, step++) {
        const size_t end = std::min(first + size, order.size()), part = size_t(part_size_);
        for (size_t begin = first; begin < end; begin += part) {
          const auto examples = std::span(order).subspan(begin, std::min(part, end - begin));
          Batch batch = [&] {
            const Range range("batch", Category::data, step);
            return training_batch(pairs_, examples, masking_, epoch, part_size_);
          }();
          batch.epoch = epoch, batch.step = step, batch.ends_step = begin + part >= end;
          if (!push(std::move(batch), stop)) return;
        }
      }
    }
  } catch (...) {
    const std::lock_guard lock(mutex_);
    failure_ = std::current_exception();
    changed_.notify_all();
  }
}

bool Loader::push(Batch batch, const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  if (!changed_.wait(lock, stop, [&] { return queue_.size() < queue_length; })) return false;
  queue_.push_back(std::move(batch));
  changed_.notify_all();
  return true;
}

std::vector<Batch> Loader::next_step() {
  std::vector<Batch> parts;
  do parts.push_back(next());
  while (!parts.back().ends_step);
  return parts;
}

Batch Loader::next() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return !queue_.empty() || failure_; });
  if (queue_.empty()) std::rethrow_exception(failure_);
  Batch batch = std::move(queue_.front());
  queue_.pop_front();
  changed_.notify_all();
  return batch;
}

}  // namespace warpbert
