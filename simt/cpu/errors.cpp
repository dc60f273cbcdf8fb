// Simulator errors: kernel, block, thread, call, and the state of the block's other threads.
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "block.h"

namespace simt {

static std::string block_and_thread() {
  char s[150];
  std::snprintf(s, sizeof s, "block (%u,%u,%u), thread (%u,%u,%u)", blockIdx.x, blockIdx.y, blockIdx.z,
                threadIdx.x, threadIdx.y, threadIdx.z);
  return s;
}
std::string here() {
  return block && block->grid ? "kernel " + block->kernel + ", " + block_and_thread() : "no kernel";
}
std::string name_for_tsan() { return block_and_thread() + ", " + block->kernel; }

void fail(const char* format, ...) {
  char text[8000];
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  const std::string where = block && block->grid ? here() + block->site() + ": " : "";
  std::fflush(stdout);
  std::fprintf(stderr, "simt: %s%s\n", where.c_str(), text);
  std::abort();
}

std::string Block::describe(unsigned t) const {
  const Warp& w = warp[t / 32];
  const unsigned lane = t % 32;
  const uint32_t bit = 1u << lane;
  if (w.fresh & bit) return "not started";
  if (w.ready & bit) return "ready to run";
  if (!((w.blocked | w.arrived) & bit)) return t == unsigned(current) ? "this thread" : "returned";
  char s[400];
  int n = snprintf(s, sizeof s, "wait at %s, %s:%d", w.what[lane], w.file[lane], w.line[lane]);
  if (w.arrived & bit) snprintf(s + n, sizeof s - n, ", mask %08x", w.mask[lane]);
  return s;
}

std::string Block::report() const {
  std::string out;
  for (unsigned i = 0, j; i < threads_; i = j) {
    const std::string d = describe(i);
    for (j = i + 1; j < threads_ && describe(j) == d; j++) {}
    out += j == i + 1 ? "\n  thread " + std::to_string(i)
                      : "\n  threads " + std::to_string(i) + " to " + std::to_string(j - 1);
    out += ": " + d;
  }
  return out;
}

void Block::fail_with_report(const char* message) {
  flush_run();
  fail("%s%s", message, report().c_str());
}

std::string Block::site() const {
  const Warp& w = warp[current / 32];
  const unsigned lane = unsigned(current) % 32;
  if (!((w.arrived | w.blocked) >> lane & 1)) return "";
  return std::string(", ") + w.what[lane] + " at " + w.file[lane] + ":" + std::to_string(w.line[lane]);
}

}  // namespace simt

// Sanitizers call these on each finding.
extern "C" void __asan_on_error() { std::fprintf(stderr, "simt: in %s\n", simt::here().c_str()); }
extern "C" void __ubsan_on_report() { __asan_on_error(); }
// Blocks reuse the addresses of shared memory, so equal addresses must not suppress reports. One missing
// barrier gives a report per thread: the first says it all (TSAN_OPTIONS=halt_on_error=0 shows the others).
extern "C" const char* __tsan_default_options() { return "suppress_equal_addresses=0:halt_on_error=1"; }
