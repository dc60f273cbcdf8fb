#include "interruption.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

namespace warpbert {

static volatile std::sig_atomic_t asked = 0, piped = 0;

static void ask(int signal) {
  asked = 1;
  if (signal != SIGPIPE) return;
  piped = 1;
  const int error = errno;  // of the interrupted code
  if (const int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC); nowhere >= 0) {
    dup2(nowhere, STDOUT_FILENO);
    close(nowhere);
  }
  errno = error;
}

Interruption::Interruption() {
  asked = 0;
  piped = 0;
  struct sigaction action {};
  action.sa_handler = ask;
  sigemptyset(&action.sa_mask);
  for (size_t i = 0; i < signals.size(); i++) {
    // People repeat a signal to end the process. The others come twice by themselves.
    const bool of_people = signals[i] == SIGINT || signals[i] == SIGTERM || signals[i] == SIGHUP;
    action.sa_flags = SA_RESTART | (of_people ? int(SA_RESETHAND) : 0);
    sigaction(signals[i], nullptr, &before_[i]);
    if (before_[i].sa_handler != SIG_IGN) sigaction(signals[i], &action, nullptr);  // nohup ignores SIGHUP
  }
}

Interruption::~Interruption() {
  for (size_t i = 0; i < signals.size(); i++) sigaction(signals[i], &before_[i], nullptr);
  if (piped) std::clearerr(stdout);  // the lost reader is handled
}

bool Interruption::requested() const { return asked; }

}  // namespace warpbert
