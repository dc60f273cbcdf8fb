// State of the block that an OS thread runs. Internal to the simulator.
#pragma once
#include <atomic>
#include <deque>
#include <exception>
#include <string>
#include <vector>

#include "fiber.h"
#include "language.h"
#include "simt/kernel_name.h"

namespace simt {

constexpr unsigned max_threads = 1024, max_warps = 32;
constexpr size_t max_stack_bytes = max_threads * fiber_bytes;  // of a block whose threads all wait
// Extra fibers: a thread must not get the fiber of its number in the previous block.
constexpr unsigned spare_fibers = SIMT_TSAN ? 7 : 0;
constexpr size_t max_static_shared = 48 << 10;
constexpr size_t max_shared = 99 << 10;  // per block on sm_86, sm_89, sm_120; sm_80 has 163 KB, sm_90 227

struct Thread {
  uint3 index;             // threadIdx
  Fiber* fiber = nullptr;  // its stack, while suspended
};

struct Copies {               // pending cp.async of one thread
  std::vector<Copy> pending;  // in program order; the first `done` are performed
  size_t done = 0;
  int open_group = 0;
};

// Lane sets are bit masks. An existing lane is in one of the first four, is running, or has returned.
struct Warp {
  uint32_t exists;
  uint32_t fresh;    // not started
  uint32_t ready;    // can resume
  uint32_t arrived;  // waits in a warp collective
  uint32_t blocked;  // waits at __syncthreads
  uint32_t passed;   // has arrived there without waiting, and may only return
  unsigned syncs;    // __syncwarp count
  // Call in which each waiting lane waits:
  uint32_t mask[32];
  int line[32];
  MeetOp op[32];
  void* arg[32];
  const char *what[32], *file[32];
  // Operands and results of matrix operations (mma.cpp); separate, as a fast lane may store new operands.
  alignas(64) uint32_t a[32][4], b[32][2];
  alignas(64) float c[32][4];
  alignas(64) uint32_t result[32][4];
};

struct Grid {
  const char* signature;  // contains the kernel's name
  dim3 size, block;
  size_t dynamic_bytes;
  void (*run)(void*);
  void* body;
  Order order;
  unsigned seed;
  long blocks = 0;
  std::vector<long> numbers = {};  // block numbers in start order
  std::atomic<long> next = 0;      // blocks started
};

// Shared variables of a block, by type and tag.
class SharedMemory {
 public:
  ~SharedMemory();
  void clear();
  void* find(const void* key, size_t bytes, bool dynamic, const char* file, int line);

 private:
  struct Piece {
    const void* key;
    void* memory;
  };
  std::vector<Piece> pieces_;
  char* arena_ = nullptr;
  size_t used_ = 0, static_bytes_ = 0;
};

class Block {
 public:
  Block() { idle_.reserve(max_threads + spare_fibers); }
  void run(Grid& grid);        // until the grid has no block left
  std::string report() const;  // state of each thread, one line per run of equals
  std::string site() const;    // ", __syncthreads at file:line" if the current thread waits
  const Fiber& fiber() const { return *running_; }
  Grid* grid = nullptr;  // null: no kernel is running
  std::string kernel;
  Thread thread[max_threads];
  Copies copies[max_threads];
  Warp warp[max_warps];
  SharedMemory shared;
  bool copies_pending = false;  // the block used cp.async

 private:
  friend Switch wait_for_block(const char* file, int line);
  friend void arrive_at_block(const char* file, int line);
  friend Switch wait_for_lanes(unsigned, const char*, const char*, int, MeetOp, void*);
  friend bool next_thread_slowly();

  void start(long number);
  unsigned choose(uint32_t lanes);
  unsigned pick();
  void set_current(unsigned t);
  void flush_run();
  Fiber* idle_fiber();
  Fiber* next_fiber();
  Switch wait();
  unsigned begin_call(const char* what, const char* file, int line);
  unsigned reach_barrier(const char* file, int line);
  void open_barrier();
  void commit(Warp& w, uint32_t mask);
  [[noreturn]] void fail_with_report(const char* message);
  static void fiber_main(boost::context::detail::transfer_t from);
  std::string describe(unsigned t) const;

  unsigned threads_ = 0;  // per block
  unsigned left_ = 0;     // not returned
  unsigned blocked_ = 0, passed_ = 0;
  unsigned run_start_ = 0;  // first thread of the current run, see flush_run()
  unsigned syncs_ = 0;      // __syncthreads count
  uint32_t random_ = 0;
  Fiber home_;  // the OS thread's own stack
  Fiber* running_ = &home_;
  std::exception_ptr error_;  // rethrown by run()
  std::deque<Fiber> fibers_;
  std::vector<Fiber*> idle_;  // unused; never grows, as std::bad_alloc cannot leave fiber_main
  // ThreadSanitizer sync objects; only their addresses matter.
  char sync_block_[2], sync_warp_[max_warps][2], start_, end_;
};

extern __thread Block* block SIMT_TLS;  // per OS thread

std::string here();           // "kernel add, block (1,0,0), thread (2,0,0)"
std::string name_for_tsan();  // "block (1,0,0), thread (2,0,0), add"; TSan shows 63 characters

}  // namespace simt
