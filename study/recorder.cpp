#include "recorder.h"

#include <algorithm>
#include <cstring>

#include "simt/cpu/block.h"
#include "simt/kernel_name.h"

namespace warpbert::study {

Recorder::Recorder(std::string kernel, std::array<unsigned, 3> at, std::vector<Memory> global)
    : kernel_(std::move(kernel)) {
  r_.at = at;
  r_.global = std::move(global);
  simt::launch_observer = this;
  simt::block_observer = this;
  access_observer = this;
}

Recorder::~Recorder() {
  simt::launch_observer = nullptr;
  simt::block_observer = nullptr;
  access_observer = nullptr;
}

void Recorder::before(const simt::Launch& l) {
  const std::string name = simt::kernel_name(l.signature);
  if (r_.found || name.substr(0, name.find('<')) != kernel_) return;
  r_.found = recording_ = true;
  r_.signature = l.signature;
  std::copy_n(l.grid, 3, r_.grid.begin());
  std::copy_n(l.block, 3, r_.block.begin());
  r_.dynamic_bytes = l.dynamic_bytes;
  for (const simt::Argument& a : l.arguments) {
    const auto* bytes = static_cast<const uint8_t*>(a.value);
    r_.arguments.push_back({{bytes, bytes + a.bytes}});
  }
  r_.threads.resize(r_.threads_per_block());
  state_.resize(r_.threads_per_block());
}

void Recorder::after(const simt::Launch&) { recording_ = false; }

bool Recorder::wanted() const {
  return recording_ && simt::block && simt::block->grid && blockIdx.x == r_.at[0] && blockIdx.y == r_.at[1] &&
         blockIdx.z == r_.at[2];
}

// Return addresses by frame pointers. The walk ends with the fiber's stack: the simulator has no frame
// pointers.
int Recorder::chain(const void* pc, void** frame) {
  walk_.clear();
  if (pc) walk_.push_back(pc);
  const simt::Fiber& fiber = simt::block->fiber();
  const auto inside = [&](const void* p) {
    const auto* c = static_cast<const char*>(p);
    return c >= fiber.stack && c + 2 * sizeof(void*) <= fiber.stack + fiber.size;
  };
  while (inside(frame)) {
    walk_.push_back(frame[1]);
    void** const next = static_cast<void**>(frame[0]);
    if (next <= frame) break;
    frame = next;
  }
  const auto [it, fresh] = known_.try_emplace(walk_, int(r_.chains.size()));
  if (fresh) r_.chains.push_back(walk_);
  return it->second;
}

void Recorder::read_pending_store(int thread) {
  long& pending = state_[size_t(thread)].pending_store;
  if (pending < 0) return;
  Event& e = r_.threads[size_t(thread)][size_t(pending)];
  std::memcpy(e.value.data(), reinterpret_cast<const void*>(e.address), e.bytes);
  pending = -1;
}

Event& Recorder::add(Event::Kind kind, const void* pc, void** frame) {
  const int t = simt::current;
  read_pending_store(t);
  Event e{};
  e.kind = kind;
  e.chain = chain(pc, frame);
  return r_.threads[size_t(t)].emplace_back(e);
}

void Recorder::access(void* p, size_t bytes, Access kind, void* pc, void** frame) {
  if (!wanted()) return;
  const auto address = uintptr_t(p);
  const auto holds = [&](const Memory& m) { return m.holds(address); };
  if (std::none_of(r_.shared.begin(), r_.shared.end(), holds) &&
      std::none_of(r_.global.begin(), r_.global.end(), holds))
    return;  // local variables
  // Splits structs copied whole.
  for (size_t done = 0; done < bytes;) {
    const size_t piece = std::min<size_t>(bytes - done, 16);
    Event& e = add(kind == Access::load    ? Event::load
                   : kind == Access::store ? Event::store
                                           : Event::atomic,
                   pc, frame);
    e.address = address + done, e.bytes = uint8_t(piece);
    std::memcpy(e.value.data(), reinterpret_cast<const void*>(e.address), piece);
    done += piece;
    if (kind == Access::store)
      state_[size_t(simt::current)].pending_store = long(r_.threads[size_t(simt::current)].size()) - 1;
  }
}

void Recorder::left() {
  if (wanted()) read_pending_store(simt::current);  // no event follows the last store
}

// The simulator calls the following just after a function of language.h began.
// gdb stops here when the last thread has reached a barrier (study/variables.py).
extern "C" __attribute__((noinline)) void study_all_at_barrier() { asm volatile(""); }

void Recorder::barrier(const char*, int) {
  if (!wanted()) return;
  add(Event::barrier, nullptr, entered_).what = "__syncthreads";
  if (++at_barrier_ % r_.threads_per_block() == 0) study_all_at_barrier();
}

void Recorder::collective(unsigned mask, const char* what, const char*, int, const void* arg) {
  if (!wanted()) return;
  const int t = simt::current;
  Event& e = add(Event::collective, nullptr, entered_);
  e.what = what, e.mask = mask, e.operands = int(r_.operands.size());
  state_[size_t(t)].last_collective = long(r_.threads[size_t(t)].size()) - 1;
  Operands& o = r_.operands.emplace_back();
  if (arg) {
    std::memcpy(o.in.data(), arg, 24);  // the largest, Shuffle<double>, is on the lane's stack
  } else {
    const simt::Warp& w = simt::block->warp[t / 32];
    const int lane = t % 32;
    std::memcpy(o.in.data(), w.a[lane], 16);
    std::memcpy(o.in.data() + 4, w.b[lane], 8);
    std::memcpy(o.in.data() + 6, w.c[lane], 16);
  }
}

void Recorder::collective_done(unsigned mask, const char*, const void* const* args) {
  if (!wanted()) return;
  const int warp = simt::current / 32;
  for (int lane = 0; lane < 32; lane++) {
    if (!(mask >> lane & 1)) continue;
    const size_t t = size_t(warp * 32 + lane);
    const Event& e = r_.threads[t][size_t(state_[t].last_collective)];
    Operands& o = r_.operands[size_t(e.operands)];
    if (args[lane]) std::memcpy(o.out.data(), args[lane], 24);
    else std::memcpy(o.out.data(), simt::block->warp[warp].result[lane], 16);
  }
}

void Recorder::shared_variable(const void* memory, size_t bytes, const char* file, int line) {
  if (wanted()) r_.shared.push_back({uintptr_t(memory), bytes, file, line});
}

void Recorder::async_copy(const void* to, const void* from) {
  if (!wanted()) return;
  Event& e = add(Event::copy, nullptr, entered_);
  e.address = uintptr_t(to), e.from = uintptr_t(from), e.bytes = 16;
  e.group = state_[size_t(simt::current)].open_group;
  std::memcpy(e.value.data(), from, 16);
}

void Recorder::async_commit() {
  if (wanted()) state_[size_t(simt::current)].open_group++;
}

void Recorder::async_waited(int pending) {
  if (!wanted()) return;
  Event& e = add(Event::wait, nullptr, entered_);
  e.group = state_[size_t(simt::current)].open_group - pending;
}

}  // namespace warpbert::study
