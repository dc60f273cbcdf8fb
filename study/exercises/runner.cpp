// main() of an exercise, linked with its check by `study try`.
//
//   exercise NAME [TRACE]     exit status: 0 solved, 1 not
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <csignal>
#include <cstring>
#include <map>
#include <random>
#include <set>

#include "exercise.h"
#include "io/atomic_file.h"
#include "io/error.h"
#include "simt/cpu/block.h"
#include "simt/cpu/pool.h"
#include "study/access_hooks.h"
#include "study/page.h"
#include "study/parts.h"
#include "study/recorder.h"
#include "study/symbols.h"
#include "study/trace.h"

namespace warpbert::study {

Check::Array& Check::add(const char* name, size_t n) {
  const size_t all = (n + 2 * guard + 63) / 64 * 64;  // 256-byte alignment, as cudaMalloc has it
  std::shared_ptr<float> memory(static_cast<float*>(std::aligned_alloc(256, all * sizeof(float))), std::free);
  std::fill_n(memory.get(), all, NAN);
  Array& array = arrays_.emplace_back(Array{name, memory, memory.get() + guard, n});
  on_array(array);
  return array;
}

float* Check::output(const char* name, size_t n) { return add(name, n).begin; }

float* Check::input(const char* name, size_t n) {
  Array& a = add(name, n);
  std::mt19937 random{unsigned(arrays_.size())};
  std::normal_distribution<float> normal;
  for (size_t i = 0; i < n; i++) a.begin[i] = normal(random);
  return a.begin;
}

void Check::compare(const std::string& name, size_t i, double value, double expected, double tolerance) {
  compared_++;
  if (std::abs(value - expected) <= tolerance) return;
  if (wrong_++) return;
  first_wrong_ = fmt::format("{}[{}] is {}, expected {:.7g}", name, i,
                             std::isnan(value) ? "NaN" : fmt::format("{:.7g}", value), expected);
}

void Check::expect(const float* array, size_t i, double expected) {
  const auto named =
      std::find_if(arrays_.begin(), arrays_.end(), [&](const Array& a) { return a.begin == array; });
  compare(named->name, i, array[i], expected, 1e-5 * std::max(1.0, std::abs(expected)));
}

void Check::expect(const char* name, const bf16* array, size_t i, double expected) {
  compare(name, i, to_float(array[i]), expected, std::abs(expected) / 256);
}

std::string Check::wrong() const {
  return wrong_ ? fmt::format("{}; {} of {} elements are wrong", first_wrong_, wrong_, compared_) : "";
}

namespace {

constexpr size_t most_steps = 20'000;
constexpr const char* above = "  <- above the goal";

// Accesses within `guard` floats outside of an array.
class Bounds final : AccessObserver {
 public:
  explicit Bounds(const Check& check) : check_(check) { access_observer = this; }
  Bounds(const Bounds&) = delete;
  ~Bounds() { access_observer = nullptr; }

  std::string found() const {
    if (what_.empty()) return "";
    const CodePlace at = find_places({static_cast<const char*>(pc_) - 1})[0];
    return fmt::format("{}, {}:{}: {}", where_, from_root(at.file, WARPBERT_SOURCE), at.line, what_);
  }

 private:
  void access(void* p, size_t, Access kind, void* pc, void**) override {
    if (!what_.empty() || !simt::block || !simt::block->grid) return;
    for (const Check::Array& a : check_.arrays()) {
      const auto* f = static_cast<const float*>(p);
      if (f < a.begin - Check::guard || f >= a.begin + a.n + Check::guard) continue;
      if (f >= a.begin && f < a.begin + a.n) continue;
      where_ = simt::here();
      what_ = fmt::format("{} {}[{}], but {} has {} elements", kind == Access::load ? "loads" : "stores",
                          a.name, f - a.begin, a.name, a.n);
      pc_ = pc;
    }
  }

  const Check& check_;
  std::string where_, what_;
  const void* pc_ = nullptr;
};

std::string place(const Trace& trace, const Step& s) {
  const std::vector<SourceLine>& lines = trace.places[size_t(s.place)].lines;
  return lines.empty() ? "an unknown line" : fmt::format("{}:{}", lines.back().file, lines.back().line);
}

std::string race(const Trace& trace) {
  for (const Step& s : trace.steps) {
    if (s.races.empty()) continue;
    const Race& r = s.races[0];
    const Step& before = trace.steps[r.step];
    const auto verb = [](const Step& step) { return step.kind == Event::load ? "reads" : "writes"; };
    return fmt::format(
        "race: thread {} {} at {} what thread {} {} at {}, and no barrier is between them; {} steps race",
        s.warp * 32 + r.lane, verb(s), place(trace, s), r.thread, verb(before), place(trace, before),
        trace.totals.races);
  }
  return "";
}

bool score(const char* what, int used, int least, double most) {
  if (!least) return true;
  const double ratio = double(used) / least;
  const bool reached = ratio < most + 0.005;
  fmt::print("  {:13} {:5} of least {:5}: {:.2f}, goal {:.2f}{}\n", what, used, least, ratio, most,
             reached ? "" : above);
  return reached;
}

// Most groups in flight after a wait.
int groups_after_waits(const std::vector<Event>& thread) {
  std::set<int> groups;
  size_t most = 0;
  for (const Event& e : thread) {
    if (e.kind == Event::copy) groups.insert(e.group);
    if (e.kind != Event::wait) continue;
    groups.erase(groups.begin(), groups.lower_bound(e.group));
    most = std::max(most, groups.size());
  }
  return int(most);
}

bool solved(const std::string& name, const std::string& output) {
  simt::set_workers(1);                         // the hooks are not thread-safe
  std::map<std::string, std::string> problems;  // {problem: thread orders}
  constexpr std::pair<simt::Order, const char*> orders[] = {
      {simt::Order::forward, "forward"}, {simt::Order::reverse, "reverse"}, {simt::Order::random, "random"}};
  for (const auto& [order, order_name] : orders) {
    simt::set_order(order, 7);
    Check check;
    const Bounds bounds(check);
    run(check);
    if (const std::string outside = bounds.found(); !outside.empty()) {
      problems = {{outside, ""}};
      break;
    }
    if (const std::string wrong = check.wrong(); !wrong.empty()) {
      std::string& where = problems[wrong];
      where += (where.empty() ? "thread order " : ", ") + std::string(order_name);
    }
  }
  for (const auto& [problem, where] : problems)
    fmt::print("  {}{}\n", problem, where.empty() ? "" : " (" + where + ")");

  Check check;
  Recorder recorder(kernel, {}, {});
  Recording& recording = recorder.result();
  check.on_array = [&](const Check::Array& a) {
    recording.global.push_back({uintptr_t(a.begin), a.n * sizeof(float), nullptr, 0});
  };
  simt::set_order(simt::Order::forward);
  run(check);
  if (!recording.found) io::fail("{} is not launched", kernel);
  const Trace trace = build_trace(recording, WARPBERT_SOURCE, {}, most_steps);
  const std::string found = race(trace);
  if (!found.empty()) fmt::print("  {}\n", found);
  bool right = problems.empty() && found.empty();
  const Totals& t = trace.totals;
  right &= score("sectors", t.sectors, t.least_sectors, goal.sectors);
  right &= score("bank passes", t.passes, t.least_passes, goal.passes);
  const bool few = t.barriers <= goal.barriers;
  fmt::print("  {:13} {:5}, goal {}{}\n", "barriers", t.barriers, goal.barriers, few ? "" : above);
  right &= few;
  if (goal.groups) {
    const int groups = groups_after_waits(recording.threads[0]);
    const bool enough = groups >= goal.groups;
    fmt::print("  {:13} {:5}, goal {}{}\n", "in flight", groups, goal.groups,
               enough ? "" : "  <- below the goal");
    right &= enough;
  }
  if (!output.empty()) {
    const Json json = trace_json(trace, recording, name, Json::object());
    io::write_file_atomically(output,
                              output.ends_with(".html") ? trace_page(name, {json}) : json.dump() + "\n");
  }
  return right;
}

// A kernel did not end, or reached far outside of its arrays.
extern "C" void stop(int signal) {
  const char* const text = signal == SIGALRM ? "  the kernel does not end\n"
                                             : "  the kernel loads or stores far outside of its arrays\n";
  if (write(STDERR_FILENO, text, std::strlen(text)) < 0) _exit(2);
  _exit(1);
}

}  // namespace
}  // namespace warpbert::study

int main(int argc, char** argv) {
  if (argc < 2) return 2;
  alarm(60);
  std::signal(SIGALRM, warpbert::study::stop);
  std::signal(SIGSEGV, warpbert::study::stop);
  try {
    return warpbert::study::solved(argv[1], argc > 2 ? argv[2] : "") ? 0 : 1;
  } catch (const std::exception& e) {
    std::fprintf(stderr, "  %s\n", e.what());
    return 1;
  }
}
