// Runs a thread block on one OS thread: its CUDA threads take turns on fibers (../README.md).
#include "block.h"

#include <algorithm>
#include <cstring>

#include "observer.h"

__thread uint3 threadIdx, blockIdx;
__thread dim3 blockDim, gridDim;

namespace simt {

__thread int current, run_left;
__thread Block* block;

// ---- Scheduling --------------------------------------------------------------------------------
inline unsigned Block::choose(uint32_t lanes) {
  if (grid->order == Order::forward) return __builtin_ctz(lanes);
  if (grid->order == Order::reverse) return 31 - __builtin_clz(lanes);
  random_ = random_ * 1664525 + 1013904223;
  for (int skip = (random_ >> 16) % __builtin_popcount(lanes); skip; skip--) lanes &= lanes - 1;
  return __builtin_ctz(lanes);
}

// Picks a runnable thread, of the running warp if possible.
inline unsigned Block::pick() {
  unsigned w = unsigned(current) / 32;
  if (!(warp[w].fresh | warp[w].ready)) {
    uint32_t warps = 0;
    for (unsigned i = 0; i * 32 < threads_; i++) warps |= uint32_t((warp[i].fresh | warp[i].ready) != 0) << i;
    if (!warps) fail_with_report("deadlock: no thread can run");
    w = choose(warps);
  }
  return w * 32 + choose(warp[w].fresh | warp[w].ready);
}

inline void Block::set_current(unsigned t) { current = run_start_ = int(t), threadIdx = thread[t].index; }

// Commits and ends a run: for speed, next_thread() starts threads without updating `fresh` and `left_`.
void Block::flush_run() {
  run_left = 0;
  const int started = current - run_start_;
  if (started == 0) return;
  warp[current / 32].fresh &= ~(((1u << started) - 1) << (run_start_ % 32 + 1));
  left_ -= unsigned(started);
  run_start_ = current;
}

// Starts a new thread on the stack of one that has returned; false if none is to start there.
bool next_thread_slowly() {
  Untracked u;
  Block& b = *block;
  b.flush_run();
  b.left_--;
  if (b.blocked_ && !(b.warp[current / 32].passed >> current % 32 & 1))
    b.fail_with_report("barrier divergence: this thread has returned while others wait at __syncthreads");
  __tsan_release(&b.end_);
  if (SIMT_TSAN || b.left_ == 0) return false;  // ThreadSanitizer needs a fiber for each thread
  const unsigned t = b.pick();
  Warp& w = b.warp[t / 32];
  const uint32_t bit = 1u << t % 32;
  if (!(w.fresh & bit)) return false;
  w.fresh ^= bit;
  b.set_current(t);
  if (b.grid->order == Order::forward) {
    const uint64_t following = uint64_t(w.fresh) >> t % 32 >> 1;
    run_left = std::min(__builtin_ctzll(~following), int(blockDim.x - threadIdx.x) - 1);
  }
  return true;
}

Fiber* Block::idle_fiber() {
  if (idle_.empty()) idle_.push_back(&fibers_.emplace_back(fiber_main, fibers_.size()));
  const auto it = SIMT_TSAN ? idle_.begin() : idle_.end() - 1;  // TSan: neighbours on different fibers
  Fiber* f = *it;
  idle_.erase(it);
#if SIMT_TSAN
  __tsan_set_fiber_name(f->tsan, name_for_tsan().c_str());
#endif
  return f;
}

// Makes another thread current and returns its fiber, or an idle one if it has none.
inline Fiber* Block::next_fiber() {
  const unsigned t = pick();
  Warp& w = warp[t / 32];
  const uint32_t bit = 1u << t % 32;
  set_current(t);
  if (w.ready & bit) {
    w.ready ^= bit;
    return thread[t].fiber;
  }
  w.fresh ^= bit;
  return idle_fiber();
}

// Suspends the current thread and returns the switch to another.
inline Switch Block::wait() {
  Fiber* from = thread[current].fiber = running_;
  running_ = next_fiber();
  return switch_fibers(*from, *running_);
}

void Block::fiber_main(boost::context::detail::transfer_t from) {
  entered(from);
  for (;;) {
    Block& b = *block;
    __tsan_acquire(&b.start_);
    try {
      b.grid->run(b.grid->body);
    } catch (...) {  // no memory
      b.error_ = std::current_exception();
    }
    Untracked u;
    Fiber* me = b.running_;
    b.idle_.push_back(me);
    b.running_ = b.left_ && !b.error_ ? b.next_fiber() : &b.home_;
    if (b.running_ != me) perform(switch_fibers(*me, *b.running_));
  }
}

// ---- Barriers ----------------------------------------------------------------------------------
// ThreadSanitizer: threads release on arrival and acquire on leaving. Two sync objects alternate, as a fast
// thread may reach the next barrier before a slow one has left this one.

// Notes the call that the current thread may have to wait in; returns its lane.
inline unsigned Block::begin_call(const char* what, const char* file, int line) {
  Warp& w = warp[current / 32];
  const unsigned lane = unsigned(current) % 32;
  w.what[lane] = what, w.file[lane] = file, w.line[lane] = line;
  if (w.passed >> lane & 1)
    fail("%s at %s:%d by a thread that may only return: sync_into_last_warp was false", what, file, line);
  return lane;
}

inline unsigned Block::reach_barrier(const char* file, int line) {
  const unsigned lane = begin_call("__syncthreads", file, line);
  if (block_observer) block_observer->barrier(file, line);
  __tsan_release(&sync_block_[syncs_ & 1]);
  return lane;
}

Switch wait_for_block(const char* file, int line) {
  Untracked u;
  Block& b = *block;
  b.flush_run();
  char* sync = &b.sync_block_[b.syncs_ & 1];
  const unsigned lane = b.reach_barrier(file, line);
  b.warp[current / 32].blocked |= 1u << lane;
  b.blocked_++;
  if (b.left_ + b.passed_ < b.threads_)
    b.fail_with_report("barrier divergence: this thread waits while others have returned");
  if (b.blocked_ + b.passed_ < b.threads_) {
    if (!SIMT_TSAN) return b.wait();
    b.wait();
  } else {
    b.open_barrier();
  }
  __tsan_acquire(sync);
  return {};
}

void arrive_at_block(const char* file, int line) {
  Untracked u;
  Block& b = *block;
  b.warp[current / 32].passed |= 1u << b.reach_barrier(file, line);
  b.passed_++;
  if (b.blocked_ + b.passed_ == b.threads_) b.open_barrier();
}

void Block::open_barrier() {
  const Warp& mine = warp[current / 32];
  const char* file = mine.file[current % 32];
  for (unsigned i = 0; i < threads_; i++) {
    const Warp& w = warp[i / 32];
    if (w.line[i % 32] != mine.line[current % 32] ||
        (w.file[i % 32] != file && std::strcmp(w.file[i % 32], file)))
      fail_with_report("barrier divergence: threads of a block wait at different __syncthreads");
  }
  for (unsigned i = 0; i * 32 < threads_; i++) warp[i].ready = warp[i].blocked, warp[i].blocked = 0;
  warp[current / 32].ready &= ~(1u << current % 32);  // the current thread continues
  blocked_ = passed_ = 0;
  syncs_++;
}

Switch wait_for_lanes(unsigned mask, const char* what, const char* file, int line, MeetOp op, void* arg) {
  Untracked u;
  Block& b = *block;
  b.flush_run();
  Warp& w = b.warp[current / 32];
  const unsigned lane = b.begin_call(what, file, line);
  const uint32_t bit = 1u << lane;
  w.mask[lane] = mask, w.op[lane] = op, w.arg[lane] = arg;
  if (block_observer) block_observer->collective(mask, what, file, line, arg);
  w.arrived |= bit;
  if (!(mask & bit)) fail("wrong mask: %08x lacks the calling lane %u", mask, lane);
  if (mask & ~w.exists) fail("wrong mask: %08x has lanes that the warp has not, %08x", mask, w.exists);
  if (!SIMT_TSAN) {
    if (mask & ~w.arrived) return b.wait();
    b.commit(w, mask);
    return {};
  }
  char* sync = op ? nullptr : b.sync_warp_[current / 32];  // only __syncwarp orders memory
  const int turn = mask == ~0u ? w.syncs & 1 : -1;         // partial warps may overlap: use both
  if (sync && turn != 1) __tsan_release(&sync[0]);
  if (sync && turn != 0) __tsan_release(&sync[1]);
  if (mask & ~w.arrived) b.wait();
  else b.commit(w, mask);
  if (sync && turn != 1) __tsan_acquire(&sync[0]);
  if (sync && turn != 0) __tsan_acquire(&sync[1]);
  return {};
}

void Block::commit(Warp& w, uint32_t mask) {
  const unsigned lane = unsigned(current) % 32;
  const MeetOp op = w.op[lane];
  uint32_t differ = 0;
  for (int i = 0; i < 32; i++) {
    const uint32_t d = (w.mask[i] ^ mask) | uint32_t(w.line[i] ^ w.line[lane]) | uint32_t(w.op[i] != op);
    differ |= mask >> i & 1 ? d : 0;
  }
  if (differ) fail_with_report("warp divergence: lanes of a warp call different collectives");
  if (op) op(w.arg, mask);
  else w.syncs++;
  if (block_observer) block_observer->collective_done(mask, w.what[lane], w.arg);
  w.arrived ^= mask;
  w.ready |= mask ^ 1u << lane;
}

// ---- Blocks ------------------------------------------------------------------------------------
void Block::start(long number) {
  const dim3 &g = grid->size, &d = grid->block;
  blockIdx = {unsigned(number % g.x), unsigned(number / g.x % g.y), unsigned(number / g.x / g.y)};
  blockDim = d, gridDim = g;
  current = run_start_ = run_left = 0;
  blocked_ = passed_ = 0, left_ = threads_;
  random_ = grid->seed * 2654435761u + unsigned(number) * 40503u;
  for (unsigned i = 0; i < threads_; i += 32) {
    Warp& w = warp[i / 32];
    w.exists = w.fresh = threads_ - i >= 32 ? ~0u : (1u << (threads_ - i)) - 1;
    w.ready = w.arrived = w.blocked = w.passed = 0, w.syncs = 0;
  }
  if (copies_pending)
    for (Copies& c : copies) c.pending.clear(), c.done = 0;
  copies_pending = false;
  shared.clear();
}

void Block::run(Grid& g) {
  grid = &g;
  kernel = kernel_name(g.signature);
  const dim3& d = g.block;
  threads_ = d.x * d.y * d.z;
  for (unsigned i = 0; i < threads_; i++) thread[i].index = {i % d.x, i / d.x % d.y, i / d.x / d.y};
  while (SIMT_TSAN && fibers_.size() < threads_ + spare_fibers)
    idle_.push_back(&fibers_.emplace_back(fiber_main, fibers_.size()));
  __tsan_release(&start_);
  Untracked u;
  for (long b; (b = g.next.fetch_add(1)) < g.blocks;) {
    start(g.numbers[b]);
    running_ = next_fiber();
    perform(switch_fibers(home_, *running_));  // returns after the last thread, or an exception
    if (error_) std::rethrow_exception(error_);
  }
  __tsan_acquire(&end_);
  grid = nullptr;
}

}  // namespace simt
