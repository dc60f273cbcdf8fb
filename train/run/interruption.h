// Graceful stop. The first SIGINT, SIGTERM, SIGHUP (closed terminal) or SIGPIPE (closed standard output)
// requests a stop after the current step, to save a checkpoint. The same signal again ends the process at
// once, except SIGPIPE, which redirects standard output to /dev/null.
#pragma once
#include <array>
#include <csignal>

namespace warpbert {

class Interruption {
 public:
  Interruption();
  ~Interruption();  // restores the previous handlers
  Interruption(const Interruption&) = delete;
  bool requested() const;

 private:
  static constexpr std::array signals = {SIGINT, SIGTERM, SIGHUP, SIGPIPE};
  std::array<struct sigaction, signals.size()> before_;
};

}  // namespace warpbert
