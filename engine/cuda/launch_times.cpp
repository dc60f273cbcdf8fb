#include "engine/launch_times.h"

#include <vector>

#include "check.h"

namespace warpbert {

namespace {

class Times : public LaunchTimes {
 public:
  void begin(size_t i, cudaStream_t stream) override {
    while (events_.size() < 2 * i + 2)
      check(cudaEventCreate(&events_.emplace_back().value), "cudaEventCreate");
    if (i && stream != last_)
      check(cudaStreamWaitEvent(stream, events_[2 * i - 1].value), "cudaStreamWaitEvent");
    check(cudaEventRecord(events_[2 * i].value, stream), "cudaEventRecord");
    last_ = stream;
  }
  void end(size_t i, cudaStream_t stream) override { cudaEventRecord(events_[2 * i + 1].value, stream); }
  double seconds(size_t i) override {
    float milliseconds = 0;
    check(cudaEventSynchronize(events_[2 * i + 1].value), "waiting for a kernel");
    check(cudaEventElapsedTime(&milliseconds, events_[2 * i].value, events_[2 * i + 1].value),
          "cudaEventElapsedTime");
    return milliseconds * 1e-3;
  }

 private:
  std::vector<Event> events_;  // two per launch, reused after every stop()
  cudaStream_t last_ = nullptr;
};

}  // namespace

std::unique_ptr<LaunchTimes> launch_times() { return std::make_unique<Times>(); }

}  // namespace warpbert
