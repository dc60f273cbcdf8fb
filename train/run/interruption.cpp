#include "interruption.h"

#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>

namespace warpbert {

// Bit s: signal s was ignored at process start, as nohup ignores SIGHUP. Libraries install handlers before
// main() (UCX: SIGHUP). .preinit_array runs before those and before sanitizers are ready: hence the system
// call.
static uint64_t ignored_at_start = 0;
static void note_ignored_signals() {
  for (int signal = 1; signal < 32; signal++) {
    std::uintptr_t action[16] = {};  // the kernel's struct sigaction; [0]: handler
    if (syscall(SYS_rt_sigaction, signal, nullptr, action, 8) == 0 && action[0] == 1)  // SIG_IGN
      ignored_at_start |= uint64_t(1) << signal;
  }
}
[[gnu::section(".preinit_array"), gnu::used]] static void (*const before_libraries)() = note_ignored_signals;

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
    // Only people repeat these; the others come twice by themselves.
    const bool of_people = signals[i] == SIGINT || signals[i] == SIGTERM || signals[i] == SIGHUP;
    action.sa_flags = SA_RESTART | (of_people ? int(SA_RESETHAND) : 0);
    sigaction(signals[i], nullptr, &before_[i]);
    if (ignored_at_start >> signals[i] & 1) std::signal(signals[i], SIG_IGN);
    else sigaction(signals[i], &action, nullptr);
  }
}

Interruption::~Interruption() {
  for (size_t i = 0; i < signals.size(); i++) sigaction(signals[i], &before_[i], nullptr);
  if (piped) std::clearerr(stdout);  // the lost reader is handled
}

bool Interruption::requested() const { return asked; }

}  // namespace warpbert
