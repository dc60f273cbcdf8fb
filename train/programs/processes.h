// Commands of several processes (docs/scale.md).
#pragma once
#include <fcntl.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <exception>
#include <thread>

#include "engine/process_group.h"

namespace warpbert {

// Joins the process group and silences all ranks but 0. Other ranks print errors a second later, as rank 0
// usually reports the same error first.
class Processes {
 public:
  Processes() {
    if (is_root()) return;
    errors_ = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0);
    std::fflush(stdout);
    const int nothing = open("/dev/null", O_WRONLY | O_CLOEXEC);
    dup2(nothing, STDOUT_FILENO), dup2(nothing, STDERR_FILENO);
    close(nothing);
  }
  ~Processes() {
    if (is_root() || !std::uncaught_exceptions()) return;
    std::this_thread::sleep_for(std::chrono::seconds(1));
    dup2(errors_, STDERR_FILENO);
  }
  Processes(const Processes&) = delete;

  bool is_root() const { return group_.is_root(); }  // alone writes files
  bool several() const { return group_.size() > 1; }

 private:
  ProcessGroup& group_ = ProcessGroup::world();
  int errors_ = -1;
};

}  // namespace warpbert
