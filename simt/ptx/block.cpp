// Scheduling of a block's warps, and rendezvous of lanes.
#include "block.h"

#include <algorithm>
#include <bit>
#include <boost/core/demangle.hpp>
#include <cstdio>
#include <cstdlib>

#include "simt/host/send.h"
#include "trace.h"

namespace ptx {

void Counts::add(const Counts& other) {
  launches += other.launches;
  executed.resize(std::max(executed.size(), other.executed.size()));
  for (size_t k = 0; k < other.executed.size(); k++) executed[k] += other.executed[k];
  for (size_t k = 0; k < totals.size(); k++) totals[k] += other.totals[k];
}

Warp::Warp(Block& b, unsigned n)
    : block(b), number(n), registers_(size_t(b.kernel.registers) * lanes, ~uint64_t(0)) {
  const unsigned threads = std::min(unsigned(lanes), b.threads_ - n * lanes);
  live_ = threads == lanes ? all_lanes : (Mask(1) << threads) - 1;
  for (const auto& [r, value] : b.kernel.constants) std::fill_n(row(r), lanes, value);
  for (const auto& [r, name] : b.kernel.special)  // run() sets %ctaid
    for (unsigned lane = 0; lane < lanes; lane++) {
      const unsigned t = n * lanes + lane;
      const Size3 thread = {t % b.size_.x, t / b.size_.x % b.size_.y, t / b.size_.x / b.size_.y};
      const Size3& of = name.starts_with("%tid") ? thread : name.starts_with("%ntid") ? b.size_ : b.grid_;
      row(r)[lane] = name == "%laneid" ? lane : of.axis(name.back());
    }
}

Block::Block(const Kernel& k, Size3 grid, Size3 block, unsigned dynamic_shared, const char* p, bool c)
    : parameters(p),
      counting(c),
      kernel(k),
      grid_(grid),
      size_(block),
      threads_(block.x * block.y * block.z) {
  shared_.resize(dynamic_shared ? k.dynamic_shared() + dynamic_shared : k.static_shared);
  counts.executed.resize(k.code.size()), extents.resize(k.code.size());
  for (unsigned n = 0; n * lanes < threads_; n++) warps_.emplace_back(*this, n);
}

unsigned Block::random() {  // xorshift
  state_ ^= state_ << 13, state_ ^= state_ >> 17, state_ ^= state_ << 5;
  return state_;
}

void Block::run(Size3 index, simt::OrderAndSeed how) {
  index_ = index, order_ = how.order;
  state_ = (how.seed + 1) * 2654435761u ^ (index.x * 40503u + index.y * 30011u + index.z + 1) * 2246822519u;
  if (!state_) state_ = 1;
  std::fill(shared_.begin(), shared_.end(), char(0xff));  // NaNs until written
  barrier_ = -1;
  for (Warp& w : warps_) {
    w.parts_ = {{0, w.live_}};
    w.exited_ = w.in_barrier_ = 0;
    for (auto& c : w.copies) c = {};
    for (const auto& [r, name] : kernel.special)
      if (name.starts_with("%ctaid")) std::fill_n(w.row(r), lanes, index_.axis(name.back()));
  }
  // A warp runs until all of its parts wait or have ended; in random order, 1 to 40 instructions.
  for (;;) {
    std::vector<Warp*> able;
    for (Warp& w : warps_)
      if (std::any_of(w.parts_.begin(), w.parts_.end(), [](const auto& p) { return !p.waits; }))
        able.push_back(&w);
    if (able.empty()) {
      if (std::all_of(warps_.begin(), warps_.end(), [](const Warp& w) { return w.parts_.empty(); })) return;
      open_barrier();
      continue;
    }
    const bool preempt = order_ == simt::Order::random;
    Warp& w = *able[preempt ? random() % able.size() : order_ == simt::Order::reverse ? able.size() - 1 : 0];
    std::vector<size_t> parts;
    for (size_t k = 0; k < w.parts_.size(); k++)
      if (!w.parts_[k].waits) parts.push_back(k);
    const size_t part = preempt ? parts[random() % parts.size()]
                                : *std::min_element(parts.begin(), parts.end(), [&](size_t a, size_t b) {
                                    return w.parts_[a].at < w.parts_[b].at;
                                  });
    advance(w, part, preempt ? int(1 + random() % 40) : 0);
  }
}

// Runs a part until it ends, waits, merges with another part or yields: to the part that comes first in the
// code, as lanes reconverge there soonest; in random order, when `patience` runs out.
void Block::advance(Warp& w, size_t number, int patience) {
  now_ = &w;
  const bool impatient = patience > 0;
  for (;;) {
    Warp::Part& part = w.parts_[number];
    if (w.parts_.size() > 1) {
      const auto other = std::find_if(w.parts_.begin(), w.parts_.end(),
                                      [&](const Warp::Part& p) { return &p != &part && p.at == part.at; });
      if (other != w.parts_.end()) {
        other->mask |= part.mask, other->waits = false;
        w.parts_.erase(w.parts_.begin() + long(number));
        return;
      }
      if (!impatient && std::any_of(w.parts_.begin(), w.parts_.end(),
                                    [&](const Warp::Part& p) { return !p.waits && p.at < part.at; }))
        return;
    }
    if (impatient && patience-- == 0) return;
    const Instruction& i = kernel.code[size_t(part.at)];
    instruction_ = &i;
    Mask mask = part.mask;
    if (i.guard >= 0) {
      const uint64_t* const guard = w.row(i.guard);
      for (int lane = 0; lane < lanes; lane++)
        if (bool(guard[lane]) == i.guard_negated) mask &= ~(Mask(1) << lane);
    }
    if (i.arrived != Rendezvous::none && i.arrived != Rendezvous::branch && i.arrived != Rendezvous::end) {
      Mask wanted = w.live_;
      if (i.arrived == Rendezvous::warp_barrier || i.arrived == Rendezvous::shuffle) {
        const uint64_t* const named = w.row(i.from[i.arrived == Rendezvous::shuffle ? 3 : 0]);
        const uint64_t first = named[std::countr_zero(mask)];
        for (int lane = 0; lane < lanes; lane++)
          if (mask >> lane & 1 && Mask(named[lane]) != Mask(first)) fail("lanes name different masks");
        wanted &= Mask(first);
      }
      if (mask & ~wanted) fail("a lane is not in the mask");
      if (wanted & w.exited_) fail("lanes have returned that others wait for");
      if (i.arrived == Rendezvous::barrier) {
        if (barrier_ >= 0 && barrier_ != part.at) fail("threads of a block wait at different barriers");
        barrier_ = part.at;
        w.in_barrier_ |= mask;
        part.waits = true;
        return;
      }
      if (mask != wanted) {
        part.waits = true;
        return;
      }
    }
    if (counting) {
      counts.executed[size_t(part.at)]++;
      if (i.unit != Unit::none) counts.totals[Counts::threads] += uint64_t(std::popcount(mask));
    }
    if (i.arrived == Rendezvous::branch) {
      if (mask == part.mask) part.at = int(i.offset);
      else if (!mask) part.at++;
      else {
        part.mask &= ~mask, part.at++;
        w.parts_.push_back({int(i.offset), mask});
      }
      continue;
    }
    if (i.arrived == Rendezvous::end) {
      w.exited_ |= mask;
      part.mask &= ~mask, part.at++;
      if (part.mask) continue;
      w.parts_.erase(w.parts_.begin() + long(number));
      return;
    }
    if (mask) {
      if (trace) trace->before(w, i, mask);
      i.execute(w, i, mask);
      if (trace) trace->after(w, i, mask);
    }
    part.at++;
  }
}

// All parts wait. Opens the barrier if every thread has reached it, else fails.
void Block::open_barrier() {
  for (Warp& w : warps_)
    if (w.in_barrier_ != w.live_) {
      std::string where = "no thread can run";
      for (const Warp& of : warps_) {
        const auto some = [&](Mask mask) {
          return "\n  warp " + std::to_string(of.number) + ", " + std::to_string(std::popcount(mask)) +
                 " lanes: ";
        };
        for (const auto& part : of.parts_)
          where += some(part.mask) + kernel.code[size_t(part.at)].text + " at " +
                   kernel.code[size_t(part.at)].line;
        if (of.exited_) where += some(of.exited_) + "returned";
      }
      fail(where);
    }
  for (Warp& w : warps_) {
    w.in_barrier_ = 0;
    if (trace) trace->barrier(w, kernel.code[size_t(barrier_)], w.live_);
    for (auto& part : w.parts_) part.waits = false, part.at++;
    if (!counting) continue;
    counts.executed[size_t(barrier_)]++;
    counts.totals[Counts::threads] += uint64_t(std::popcount(w.live_));
  }
  barrier_ = -1;
}

char* Block::global(uint64_t address, int bytes, int lane) {
  const auto* const p = reinterpret_cast<const char*>(address);
  if (address % uint64_t(bytes)) fail("misaligned address, lane " + std::to_string(lane));
  for (const Range& r : known_)
    if (p >= r.begin && p + bytes <= r.end) return const_cast<char*>(p);
  const auto [begin, size] = device_block(p);
  if (!begin || p + bytes > begin + size)
    fail(std::string(begin ? "beyond the end of an array" : "not memory of the device") + ", lane " +
         std::to_string(lane));
  known_[next_known_++ % 4] = {begin, begin + size};
  return const_cast<char*>(p);
}

char* Block::shared(uint64_t address, int bytes, int lane) {
  if (address % uint64_t(bytes)) fail("misaligned shared address, lane " + std::to_string(lane));
  if (address + uint64_t(bytes) > shared_.size())
    fail("beyond the end of shared memory, lane " + std::to_string(lane));
  return shared_.data() + address;
}

void Block::fail(const std::string& message) const {
  std::fprintf(stderr, "ptx: kernel %s, block (%u,%u,%u), warp %u: %s\n  %s: %s\n",
               boost::core::demangle(kernel.name.c_str()).c_str(), index_.x, index_.y, index_.z,
               now_ ? now_->number : 0, message.c_str(), instruction_ ? instruction_->line.c_str() : "?",
               instruction_ ? instruction_->text.c_str() : "?");
  std::abort();
}

}  // namespace ptx
