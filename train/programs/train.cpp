// train --config base.ini [--section.key=value …]
#include <fcntl.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <exception>
#include <optional>
#include <thread>

#include "engine/process_group.h"
#include "programs.h"
#include "train/config/command_line.h"
#include "train/run/dry_run.h"
#include "train/run/train.h"

using namespace warpbert;

namespace {

// Silences a process that is not the first, except its error message. That comes a second later: mostly the
// first process has the same error, prints it and ends all others.
class Quiet {
 public:
  Quiet() {
    std::fflush(stdout);
    const int nothing = open("/dev/null", O_WRONLY | O_CLOEXEC);
    dup2(nothing, STDOUT_FILENO), dup2(nothing, STDERR_FILENO);
    close(nothing);
  }
  ~Quiet() {
    if (!std::uncaught_exceptions()) return;
    std::this_thread::sleep_for(std::chrono::seconds(1));
    dup2(errors_, STDERR_FILENO);
  }
  Quiet(const Quiet&) = delete;

 private:
  int errors_ = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0);
};

}  // namespace

int warpbert::train_main(int argc, char** argv) {
  std::optional<Quiet> quiet;
  if (!ProcessGroup::world().is_root()) quiet.emplace();
  const TrainArguments arguments = parse_train_arguments(argc, argv);
  if (arguments.help) return 0;
  if (arguments.overfit_steps) return overfit_batch(arguments.options, arguments.overfit_steps), 0;
  if (arguments.dry_run) return dry_run(arguments.options), 0;
  return train(arguments.options);
}
