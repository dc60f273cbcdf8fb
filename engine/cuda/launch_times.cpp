#include "engine/launch_times.h"

#include <vector>

#include "check.h"

namespace warpbert {

namespace {

class Times : public LaunchTimes {
 public:
  ~Times() override {
    for (cudaEvent_t e : events_) cudaEventDestroy(e);
  }
  void begin(size_t i, cudaStream_t stream) override {
    while (events_.size() < 2 * i + 2) check(cudaEventCreate(&events_.emplace_back()), "cudaEventCreate");
    if (i && stream != last_) check(cudaStreamWaitEvent(stream, events_[2 * i - 1]), "cudaStreamWaitEvent");
    check(cudaEventRecord(events_[2 * i], stream), "cudaEventRecord");
    last_ = stream;
  }
  void end(size_t i, cudaStream_t stream) override { cudaEventRecord(events_[2 * i + 1], stream); }
  double seconds(size_t i) override {
    float milliseconds = 0;
    check(cudaEventSynchronize(events_[2 * i + 1]), "waiting for a kernel");
    check(cudaEventElapsedTime(&milliseconds, events_[2 * i], events_[2 * i + 1]), "cudaEventElapsedTime");
    return milliseconds * 1e-3;
  }

 private:
  std::vector<cudaEvent_t> events_;  // two per launch, reused after every stop()
  cudaStream_t last_ = nullptr;
};

}  // namespace

std::unique_ptr<LaunchTimes> launch_times() { return std::make_unique<Times>(); }

}  // namespace warpbert
