#include "counted_access.h"

#include <algorithm>
#include <cstdint>

namespace warpbert::test {
namespace {

struct Counted {
  uintptr_t begin, end;
  std::vector<uint8_t> state;  // per byte: bit 0 = read before written, bit 1 = written
};
std::vector<Counted> counted;
size_t accessed = 0;

void access(const void* p, size_t bytes, bool write) {
  const auto address = reinterpret_cast<uintptr_t>(p);
  auto after = std::upper_bound(counted.begin(), counted.end(), address,
                                [](uintptr_t a, const Counted& c) { return a < c.begin; });
  if (after == counted.begin() || address >= (--after)->end) return;
  accessed += bytes;
  for (size_t i = address - after->begin; bytes && i < after->state.size(); i++, bytes--) {
    uint8_t& state = after->state[i];
    if (write) state |= 2;
    else if (!state) state = 1;
  }
}

}  // namespace

void start_counting(const std::vector<Range>& ranges) {
  counted.clear();
  for (const Range& r : ranges) {
    const auto begin = reinterpret_cast<uintptr_t>(r.begin);
    counted.push_back({begin, begin + r.bytes, std::vector<uint8_t>(r.bytes)});
  }
  std::sort(counted.begin(), counted.end(), [](auto& a, auto& b) { return a.begin < b.begin; });
  accessed = 0;
}

Traffic stop_counting() {
  Traffic t;
  t.accessed = accessed;
  for (const Counted& c : counted)
    for (const uint8_t state : c.state) t.loaded += state & 1, t.stored += state >> 1;
  counted.clear();
  return t;
}

}  // namespace warpbert::test

// Entry points of g++'s instrumentation. They use little stack because kernels may run on small ones.
using warpbert::test::access;
extern "C" {
void __tsan_init() {}
void __tsan_func_entry(void*) {}
void __tsan_func_exit() {}
#define WARPBERT_ACCESS(n)                                        \
  void __tsan_read##n(void* p) { access(p, n, false); }           \
  void __tsan_write##n(void* p) { access(p, n, true); }           \
  void __tsan_unaligned_read##n(void* p) { access(p, n, false); } \
  void __tsan_unaligned_write##n(void* p) { access(p, n, true); } \
  void __tsan_volatile_read##n(void* p) { access(p, n, false); }  \
  void __tsan_volatile_write##n(void* p) { access(p, n, true); }
WARPBERT_ACCESS(1)
WARPBERT_ACCESS(2)
WARPBERT_ACCESS(4)
WARPBERT_ACCESS(8)
WARPBERT_ACCESS(16)
void __tsan_read_range(void* p, size_t n) { access(p, n, false); }
void __tsan_write_range(void* p, size_t n) { access(p, n, true); }
void __tsan_vptr_update(void**, void*) {}
void __tsan_vptr_read(void**) {}
void __tsan_atomic_thread_fence(int) { __atomic_thread_fence(__ATOMIC_SEQ_CST); }
unsigned __tsan_atomic32_fetch_add(volatile unsigned* p, unsigned value, int) {
  access(const_cast<unsigned*>(p), 4, false), access(const_cast<unsigned*>(p), 4, true);
  return __atomic_fetch_add(p, value, __ATOMIC_SEQ_CST);
}
}
