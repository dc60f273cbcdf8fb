#include "progress.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "engine/process_group.h"
#include "io/format.h"

namespace warpbert {

using namespace std::chrono_literals;

std::string losses_text(double loss, double loss_mlm, double loss_cls) {
  if (!std::isfinite(loss)) return "no targets";
  std::string text = fmt::format("loss {:.4f}", loss);
  if (std::isfinite(loss_mlm)) text += fmt::format("  masked tokens {:.4f}", loss_mlm);
  if (std::isfinite(loss_cls)) text += fmt::format("  [CLS] {:.4f}", loss_cls);
  return text;
}

// flush_standard_output() reports a failed log at the end.
static void print(const ProgressOutput& output, const std::string& text) {
  std::fputs(text.c_str(), output.file);
  std::fflush(output.file);
}

// In line order; the highest rank is dropped first. ASCII, so that bytes are columns.
struct Part {
  int rank;
  std::string text;
};

static std::vector<Part> parts_of(const ProgressState& state) {
  std::vector<Part> parts{{0, fmt::format("{}/{}", state.step, state.steps)}};
  const StepRecord& r = state.last;
  const auto add = [&](int rank, double value, const char* format, double factor = 1) {
    if (std::isfinite(value)) parts.push_back({rank, fmt::format(fmt::runtime(format), value * factor)});
  };
  add(1, r.loss, "loss {:.4f}");
  add(3, r.loss_mlm, "MLM {:.4f}");
  add(3, r.loss_cls, "CLS {:.4f}");
  add(5, r.lr, "lr {:.3g}");
  add(6, r.grad_norm, "norm {:.3g}");
  add(4, r.pairs_per_s, "{:.0f} pairs/s");
  add(7, r.tokens_per_s, "{:.1f}k tokens/s", 1e-3);
  add(8, r.memory_mib, "{:.0f} MiB");
  if (std::isfinite(state.remaining)) parts.push_back({2, io::duration_text(state.remaining) + " left"});
  return parts;
}

std::string progress_line(const ProgressState& state, int width) {
  constexpr int narrowest = 8, widest = 28;  // columns of the bar
  const std::string epoch = fmt::format("epoch {}/{}", state.epoch, state.epochs);
  std::vector<Part> parts = parts_of(state);
  const auto columns = [&] {
    size_t n = epoch.size();
    for (const Part& part : parts) n += 2 + part.text.size();
    return int(n);
  };
  while (!parts.empty() && columns() > width) {
    int last = 0;
    for (const Part& part : parts) last = std::max(last, part.rank);
    std::erase_if(parts, [&](const Part& part) { return part.rank == last; });
  }
  const int room = std::min(width - columns() - 2, widest);

  std::string line = epoch.substr(0, size_t(std::max(width, 0)));
  if (room >= narrowest && state.steps > 0) {
    const int done = int(int64_t(room) * std::clamp(state.step, 0, state.steps) / state.steps);
    line += "  ";
    for (int i = 0; i < room; i++) line += i < done ? "━" : "╌";
  }
  for (const Part& part : parts) line += "  " + part.text;
  return line;
}

// mpirun shows the output of pseudo-terminals, wherever its own goes.
ProgressOutput standard_progress_output() {
  return {stdout, isatty(STDOUT_FILENO) && ProcessGroup::world().size() == 1, 0};
}

static int terminal_width(const ProgressOutput& output) {
  winsize size{};
  if (output.width) return output.width;
  return ioctl(fileno(output.file), TIOCGWINSZ, &size) == 0 && size.ws_col ? size.ws_col : 80;
}

Progress::Progress(int epochs, int steps_per_epoch, ProgressOutput output) : output_(output) {
  state_.epochs = epochs, state_.steps = steps_per_epoch;
}

void Progress::step(int epoch, int step) {
  const auto now = Clock::now();
  const long done = long(epoch - 1) * state_.steps + step;
  if (begin_step_ < 0) begin_step_ = done, begin_ = now;  // may be resumed
  state_.epoch = epoch, state_.step = step;
  if (done > begin_step_)
    state_.remaining = std::chrono::duration<double>(now - begin_).count() / double(done - begin_step_) *
                       double(long(state_.epochs) * state_.steps - done);
  if (!output_.terminal || now - drawn_ < 100ms) return;
  drawn_ = now;
  // Some terminals wrap once the last column is written.
  print(output_, "\r\033[K" + progress_line(state_, terminal_width(output_) - 1));
  visible_ = true;
}

void Progress::clear() {
  if (visible_) print(output_, "\r\033[K");
  visible_ = false;
}

void Progress::show(const StepRecord& record, int step) {
  state_.last = record;
  const auto now = Clock::now();
  if (output_.terminal || now - printed_ < 10s) return;
  printed_ = now;
  std::string line = fmt::format("epoch {:>3}  step {:>5}/{}  {}", record.epoch, step, state_.steps,
                                 losses_text(record.loss, record.loss_mlm, record.loss_cls));
  const auto add = [&](double value, const char* format) {
    if (std::isfinite(value)) line += fmt::format(fmt::runtime(format), value);
  };
  add(record.lr, "  lr {:.3g}");
  add(record.grad_norm, "  gradient norm {:.3g}");
  if (record.skipped > 0) add(record.skipped, "  {:.0f} skipped");
  add(record.pairs_per_s, "  {:.0f} pairs/s");
  add(record.tokens_per_s, "  {:.0f} tokens/s");
  add(record.tflops, "  {:.3g} TFLOP/s");
  add(record.memory_mib, "  {:.0f} MiB");
  if (std::isfinite(state_.remaining)) line += "  " + io::duration_text(state_.remaining) + " left";
  print(output_, line + "\n");
}

void Progress::epoch(const EpochRecord& record, bool best, double remaining_seconds) {
  clear();
  const std::string auc =
      std::isfinite(record.auc) ? fmt::format("{:.4f}{}", record.auc, best ? " best" : "     ") : "—";
  const std::string speed =
      std::isfinite(record.pairs_per_s) ? fmt::format("{:.0f} pairs/s  ", record.pairs_per_s) : "";
  const bool last = record.epoch >= state_.epochs;
  print(output_, fmt::format("epoch {:>3}/{}  {}  AUC {}  {}{}\n", record.epoch, state_.epochs,
                             losses_text(record.loss, record.loss_mlm, record.loss_cls), auc, speed,
                             last ? "done" : io::duration_text(remaining_seconds) + " left"));
}

}  // namespace warpbert
