// Block and warp state, as seen by instructions.
#pragma once
#include <algorithm>
#include <array>
#include <cstring>
#include <string>
#include <vector>

#include "ptx.h"
#include "simt/cpu/stream.h"

namespace ptx {

// Counts over all launches of a kernel.
struct Counts {
  uint64_t launches = 0;
  std::vector<uint64_t> executed;  // warps that executed it, by instruction
  // threads: active lanes, summed over instructions with a Unit. Others: simt/cpu/access_counts.h.
  enum Counter {
    threads,
    global_requests,
    global_sectors,
    global_least,
    shared_requests,
    shared_passes,
    shared_least,
    counters
  };
  std::array<uint64_t, counters> totals{};
  void add(const Counts& other);
};

class Block;

class Warp {
 public:
  Warp(Block& block, unsigned number);

  // Register r of each lane, in the low bits.
  uint64_t* row(int r) { return registers_.data() + size_t(r) * lanes; }

  Block& block;
  const unsigned number;

  struct Copy {
    unsigned to;
    const char* from;
    int bytes;
  };
  struct Copies {                           // pending cp.async of one lane
    std::vector<Copy> open;                 // not yet in a group
    std::vector<std::vector<Copy>> groups;  // oldest first
  };
  Copies copies[lanes];

 private:
  friend class Block;
  struct Part {
    int at;  // index of the next instruction
    Mask mask;
    bool waits = false;
  };
  std::vector<uint64_t> registers_;
  std::vector<Part> parts_;
  Mask live_ = 0, exited_ = 0, in_barrier_ = 0;
};

class Block {
 public:
  Block(const Kernel& kernel, Size3 grid, Size3 block, unsigned dynamic_shared, const char* parameters,
        bool counting);
  void run(Size3 index, simt::OrderAndSeed how);

  [[noreturn]] void fail(const std::string& message) const;

  // Checked addresses of `bytes` bytes, aligned to `bytes`; `lane` is for messages.
  char* global(uint64_t address, int bytes, int lane);
  char* shared(uint64_t address, int bytes, int lane);
  const char* parameters;

  const bool counting;
  Counts counts;

  // By instruction: range of global addresses read by ld.global.nc, or written.
  struct Extent {
    uint64_t begin = ~uint64_t(0), end = 0;
    void add(const Extent& other) { begin = std::min(begin, other.begin), end = std::max(end, other.end); }
  };
  std::vector<Extent> extents;
  const Kernel& kernel;
  class Trace* trace = nullptr;

 private:
  friend class Warp;
  void advance(Warp& warp, size_t part, int patience);
  void open_barrier();

  Size3 grid_, size_, index_{};
  std::vector<char> shared_;
  std::vector<Warp> warps_;
  unsigned threads_;
  int barrier_ = -1;  // instruction at which threads wait
  const Warp* now_ = nullptr;
  const Instruction* instruction_ = nullptr;
  struct Range {
    const char *begin = nullptr, *end = nullptr;
  };
  Range known_[4];  // recently used device allocations
  unsigned next_known_ = 0;
  simt::Order order_ = simt::Order::forward;
  unsigned state_ = 1;
  unsigned random();
};

}  // namespace ptx
