#include "counted_access.h"

#include <algorithm>
#include <cstdint>

#include "study/access_hooks.h"

namespace warpbert::test {
namespace {

struct Counted {
  uintptr_t begin, end;
  std::vector<uint8_t> state;  // per byte: bit 0 = read before written, bit 1 = written
};
std::vector<Counted> counted;
size_t accessed = 0;

void count(const void* p, size_t bytes, bool write) {
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

class Counter final : public study::AccessObserver {
  void access(void* p, size_t bytes, study::Access kind, void*, void**) override {
    if (kind != study::Access::store) count(p, bytes, false);
    if (kind != study::Access::load) count(p, bytes, true);
  }
} counter;

}  // namespace

void start_counting(const std::vector<Range>& ranges) {
  counted.clear();
  for (const Range& r : ranges) {
    const auto begin = reinterpret_cast<uintptr_t>(r.begin);
    counted.push_back({begin, begin + r.bytes, std::vector<uint8_t>(r.bytes)});
  }
  std::sort(counted.begin(), counted.end(), [](auto& a, auto& b) { return a.begin < b.begin; });
  accessed = 0;
  study::access_observer = &counter;
}

Traffic stop_counting() {
  study::access_observer = nullptr;
  Traffic t;
  t.accessed = accessed;
  for (const Counted& c : counted)
    for (const uint8_t state : c.state) t.loaded += state & 1, t.stored += state >> 1;
  counted.clear();
  return t;
}

}  // namespace warpbert::test
