#include "progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>

namespace warpbert {

std::string duration_text(double seconds) {
  const long s = std::lround(std::max(seconds, 0.0));
  if (s < 60) return fmt::format("{} s", s);
  if (s < 3600) return fmt::format("{} m {:02} s", s / 60, s % 60);
  return fmt::format("{} h {:02} m", s / 3600, s % 3600 / 60);
}

Progress::Progress(int epochs, int steps_per_epoch)
    : terminal_(isatty(STDOUT_FILENO)), epochs_(epochs), steps_(steps_per_epoch) {}

void Progress::step(int epoch, int step) {
  const auto now = Clock::now();
  if (epoch != epoch_) epoch_ = epoch, epoch_begin_ = now;
  if (!terminal_ || now - drawn_ < std::chrono::milliseconds(100)) return;
  drawn_ = now;
  const double spent = std::chrono::duration<double>(now - epoch_begin_).count();
  const double remaining =
      step > 1 ? spent / (step - 1) * (double(steps_) * (epochs_ - epoch) + steps_ - step) : undefined;
  constexpr int width = 24;
  const int filled = width * step / steps_;
  std::string bar;
  for (int i = 0; i < width; i++) bar += i < filled ? "━" : "╌";
  fmt::print("\r\033[K{:>3}/{} {} {}/{}", epoch, epochs_, bar, step, steps_);
  if (!std::isnan(loss_)) fmt::print("  loss {:.4f}  {:.0f} pairs/s", loss_, pairs_per_s_);
  if (!std::isnan(remaining)) fmt::print("  {} left", duration_text(remaining));
  std::fflush(stdout);
}

void Progress::clear() {
  if (terminal_) fmt::print("\r\033[K");
}

void Progress::show(const StepRecord& r, int step) {
  loss_ = r.loss, pairs_per_s_ = r.pairs_per_s;
  if (terminal_) return;
  fmt::print("epoch {:>3}  step {:>5}/{}  loss {:.4f}  masked tokens {:.4f}  [CLS] {:.4f}  {:.0f} pairs/s\n", r.epoch,
             step, steps_, r.loss, r.loss_mlm, r.loss_cls, r.pairs_per_s);
  std::fflush(stdout);
}

void Progress::epoch(const EpochRecord& r, bool best, double eta_seconds) {
  clear();
  const std::string auc = std::isnan(r.auc) ? "undefined" : fmt::format("{:.4f}", r.auc);
  fmt::print("epoch {:>3}/{}  loss {:.4f}  masked tokens {:.4f}  [CLS] {:.4f}  AUC {}{}  {:.0f} pairs/s  {}\n", r.epoch,
             epochs_, r.loss, r.loss_mlm, r.loss_cls, auc, best ? " best" : "     ", r.pairs_per_s,
             r.epoch == epochs_ ? "done" : duration_text(eta_seconds) + " left");
  std::fflush(stdout);
}

}  // namespace warpbert
