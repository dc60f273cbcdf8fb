// Graceful stop. The first of these signals requests a stop after the current step, to save a checkpoint:
// SIGINT, SIGTERM, SIGHUP (closed terminal), SIGPIPE (closed standard output; redirects it to /dev/null),
// SIGUSR1, SIGUSR2 and SIGXCPU (batch systems). SIGINT, SIGTERM or SIGHUP again ends the process at once.
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
  static constexpr std::array signals = {SIGINT, SIGTERM, SIGHUP, SIGPIPE, SIGUSR1, SIGUSR2, SIGXCPU};
  std::array<struct sigaction, signals.size()> before_;
};

}  // namespace warpbert
