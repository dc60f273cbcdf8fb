// Ctrl-C and SIGTERM while a run works: the first asks it to stop after the step under way, so that it can save a
// checkpoint; the second ends the process at once.
#pragma once
#include <csignal>

namespace warpbert {

class Interruption {
 public:
  Interruption();
  ~Interruption();  // puts back what was there
  Interruption(const Interruption&) = delete;
  bool requested() const;

 private:
  struct sigaction int_, term_;
};

}  // namespace warpbert
