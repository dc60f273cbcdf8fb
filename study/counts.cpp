#include <algorithm>
#include <unordered_map>

#include "parts.h"
#include "simt/cpu/access_counts.h"

namespace warpbert::study {
namespace {

simt::LaneAddresses addresses(const Step& s, uintptr_t Event::*address) {
  simt::LaneAddresses all;
  for (size_t lane = 0; lane < 32; lane++)
    if (const Event* e = s.lanes[lane]) all[lane] = e->*address;
  return all;
}
void count_sectors(Step& s, uintptr_t Event::*address, int bytes) {
  const simt::AccessCount count = simt::count_sectors(addresses(s, address), bytes);
  s.sectors = int(count.used), s.least_sectors = int(count.least);
}
void count_passes(Step& s, int bytes) {
  const simt::AccessCount count = simt::count_passes(addresses(s, &Event::address), bytes);
  s.passes = int(count.used), s.least_passes = int(count.least);
}

}  // namespace

void count_sectors_and_passes(Trace& trace) {
  Totals& all = trace.totals;
  for (Step& s : trace.steps) {
    all.steps++;
    all.loads += s.kind == Event::load;
    all.stores += s.kind == Event::store;
    all.atomics += s.kind == Event::atomic;
    all.collectives += s.kind == Event::collective;
    all.copies += s.kind == Event::copy;
    if (s.kind == Event::barrier) all.barriers = s.epoch + 1;
    const Event& first = *s.lanes[size_t(__builtin_ctz(s.mask))];
    if (s.kind <= Event::atomic) {
      const int array = trace.array_of(first.address);
      if (array >= 0 && trace.arrays[size_t(array)].shared) count_passes(s, first.bytes);
      else count_sectors(s, &Event::address, first.bytes);
    } else if (s.kind == Event::copy) {
      count_sectors(s, &Event::from, first.bytes);
      count_passes(s, first.bytes);
    }
    all.sectors += s.sectors, all.least_sectors += s.least_sectors;
    all.passes += s.passes, all.least_passes += s.least_passes;
  }
}

namespace {

struct Visit {
  int thread;
  bool write, atomic;
  size_t syncs;  // __syncwarps of its warp before
  size_t step;
};

class RaceFinder {
 public:
  explicit RaceFinder(Trace& trace) : trace_(trace), syncs_(32) {}

  void run() {
    for (size_t i = 0; i < trace_.steps.size(); i++) {
      Step& s = trace_.steps[i];
      if (s.epoch != epoch_) visits_.clear(), epoch_ = s.epoch;
      const Event& first = *s.lanes[size_t(__builtin_ctz(s.mask))];
      if (s.kind == Event::collective && std::string(first.what) == "__syncwarp")
        syncs_[size_t(s.warp)].push_back(s.mask);
      for (int lane = 0; lane < 32; lane++) {
        const Event* e = s.lanes[size_t(lane)];
        if (!e || e->kind > Event::atomic) continue;
        check(i, lane, e->address, e->bytes, e->kind != Event::load, e->kind == Event::atomic);
      }
      if (s.kind == Event::copy) copy(i, s.lanes);
      // A copy writes its target at any time until its wait.
      for (size_t c = 0; s.kind == Event::wait && c < i; c++)
        if (trace_.steps[c].lands == int(i)) targets(i, trace_.steps[c].lanes);
      trace_.totals.races += !s.races.empty();
    }
  }

 private:
  void copy(size_t step, const std::array<const Event*, 32>& lanes) {
    for (int lane = 0; lane < 32; lane++)
      if (const Event* e = lanes[size_t(lane)]) check(step, lane, e->from, e->bytes, false, false);
    targets(step, lanes);
  }
  void targets(size_t step, const std::array<const Event*, 32>& lanes) {
    for (int lane = 0; lane < 32; lane++)
      if (const Event* e = lanes[size_t(lane)]) check(step, lane, e->address, e->bytes, true, false);
  }

  bool ordered(const Visit& before, int thread) const {
    if (before.thread / 32 != thread / 32) return false;
    const auto& syncs = syncs_[size_t(thread / 32)];
    const uint32_t both = 1u << before.thread % 32 | 1u << thread % 32;
    return std::any_of(syncs.begin() + long(before.syncs), syncs.end(),
                       [&](uint32_t mask) { return (mask & both) == both; });
  }

  void check(size_t step, int lane, uintptr_t address, int bytes, bool write, bool atomic) {
    Step& s = trace_.steps[step];
    const int thread = s.warp * 32 + lane;
    bool found = false;
    for (uintptr_t unit = address; unit < address + uintptr_t(bytes); unit++) {
      auto& visits = visits_[unit];
      for (const Visit& v : visits) {
        if (found || v.thread == thread || !(v.write || write) || (v.atomic && atomic) || ordered(v, thread))
          continue;
        s.races.push_back({lane, v.thread, v.step});
        found = true;
      }
      std::erase_if(visits, [&](const Visit& v) { return v.thread == thread && v.write == write; });
      visits.push_back({thread, write, atomic, syncs_[size_t(s.warp)].size(), step});
    }
  }

  Trace& trace_;
  std::unordered_map<uintptr_t, std::vector<Visit>> visits_;  // by address
  std::vector<std::vector<uint32_t>> syncs_;                  // masks, by warp
  int epoch_ = 0;
};

}  // namespace

void find_races(Trace& trace) { RaceFinder(trace).run(); }

}  // namespace warpbert::study
