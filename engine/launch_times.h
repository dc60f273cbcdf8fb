#pragma once
#include <cstddef>
#include <memory>

#include "kernels/kernels.h"

namespace warpbert {

class LaunchTimes {
 public:
  virtual ~LaunchTimes() = default;
  virtual void begin(size_t launch, kernels::Stream stream) = 0;
  // Must not throw: runs while a failed launch unwinds.
  virtual void end(size_t launch, kernels::Stream stream) = 0;
  virtual double seconds(size_t launch) = 0;  // blocks until its end
};

std::unique_ptr<LaunchTimes> launch_times();

}  // namespace warpbert
