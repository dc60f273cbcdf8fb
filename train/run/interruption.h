// Ctrl-C, SIGTERM and a closed terminal (SIGHUP) while a run works: the first asks it to stop after the step under way,
// so that it can save a checkpoint; the second ends the process at once. So does the end of the program that reads
// standard output (SIGPIPE), which from then on leads nowhere.
#pragma once
#include <array>
#include <csignal>

namespace warpbert {

class Interruption {
 public:
  Interruption();
  ~Interruption();  // puts back what was there
  Interruption(const Interruption&) = delete;
  bool requested() const;

 private:
  static constexpr std::array signals = {SIGINT, SIGTERM, SIGHUP, SIGPIPE};
  std::array<struct sigaction, signals.size()> before_;
};

}  // namespace warpbert
