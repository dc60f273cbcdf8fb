// When launches begin and end on the device.
#pragma once
#include <cstddef>
#include <memory>

#include "kernels/kernels.h"

namespace warpbert {

class LaunchTimes {
 public:
  virtual ~LaunchTimes() = default;
  virtual void begin(size_t launch, kernels::Stream stream) = 0;
  // Throws nothing: it is called on the way out of a launch that may have failed.
  virtual void end(size_t launch, kernels::Stream stream) = 0;
  virtual double seconds(size_t launch) = 0;  // waits for its end
};

// On a GPU CUDA events, in the simulator the host's clock.
std::unique_ptr<LaunchTimes> launch_times();

}  // namespace warpbert
