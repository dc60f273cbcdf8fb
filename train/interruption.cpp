#include "interruption.h"

namespace warpbert {

static volatile std::sig_atomic_t asked = 0;

Interruption::Interruption() {
  asked = 0;
  struct sigaction action {};
  action.sa_handler = [](int) { asked = 1; };
  action.sa_flags = SA_RESETHAND | SA_RESTART;  // the next one does what it does by default
  sigemptyset(&action.sa_mask);
  sigaction(SIGINT, &action, &int_);
  sigaction(SIGTERM, &action, &term_);
}

Interruption::~Interruption() {
  sigaction(SIGINT, &int_, nullptr);
  sigaction(SIGTERM, &term_, nullptr);
}

bool Interruption::requested() const { return asked; }

}  // namespace warpbert
