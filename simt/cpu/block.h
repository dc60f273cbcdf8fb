// The block that an OS thread runs: its threads, its warps and its shared memory. The simulator's own header.
#pragma once
#include <atomic>
#include <deque>
#include <string>
#include <vector>

#include "fiber.h"
#include "language.h"
#include "simt/kernel_name.h"

namespace simt {

constexpr unsigned max_threads = 1024, max_warps = 32;
constexpr size_t max_static_shared = 48 << 10;
constexpr size_t max_shared =
    99 << 10;  // what a block may have on sm_86, sm_89 and sm_120; sm_80 has 163 KB, sm_90 227

struct Thread {
  uint3 index;             // its threadIdx
  Fiber* fiber = nullptr;  // its stack, while it waits or is ready
};

struct Copies {  // a thread's cp.async; each is done when the thread waits for it
  struct Copy {
    int group;
    void* to;
    const void* from;
  };
  std::vector<Copy> pending;  // in the order of the program, but the first `done` are done
  size_t done = 0;
  int open_group = 0;
};

// Sets of lanes are bit masks. A lane that exists is in one of the sets below, or it is running, or it has returned.
struct Warp {
  uint32_t exists;
  uint32_t fresh;    // not started
  uint32_t ready;    // may go on
  uint32_t meeting;  // waits in meet()
  uint32_t blocked;  // waits at __syncthreads
  unsigned syncs;    // how many __syncwarp there were
  // What each waiting lane waits for:
  uint32_t mask[32];
  int line[32];
  MeetOp op[32];
  void* arg[32];
  const char *what[32], *file[32];
  // Operands and results of matrix operations (simt_mma.cpp). Apart, as a fast lane may already bring new operands.
  alignas(64) uint32_t a[32][4], b[32][2];
  alignas(64) float c[32][4];
  alignas(64) uint32_t result[32][4];
};

struct Grid {             // one launch
  const char* signature;  // of launch(), which names the kernel
  dim3 size, block;
  size_t dynamic_bytes;
  void (*run)(void*);
  void* body;
  Order order;
  unsigned seed;
  long blocks = 0;
  std::vector<long> numbers = {};  // of the blocks in the order in which they start
  std::atomic<long> next = 0;      // how many were handed out
};

// The __shared__ variables of a block, found by what stands for their type.
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
  void run(Grid& grid);        // runs blocks of the grid until none is left
  std::string report() const;  // where each thread is, a line for each group of neighbours
  std::string site() const;    // ", __syncthreads at file:line" if the current thread waits
  Grid* grid = nullptr;        // null: no kernel is running
  std::string kernel;          // its name
  Thread thread[max_threads];
  Copies copies[max_threads];
  Warp warp[max_warps];
  SharedMemory shared;
  bool copies_pending = false;  // some thread of the block has used cp.async

 private:
  friend Switch wait_for_block(const char* file, int line);
  friend Switch wait_for_lanes(unsigned, const char*, const char*, int, MeetOp, void*);
  friend bool next_thread_slowly();

  void start(long number);
  unsigned choose(uint32_t lanes);
  unsigned pick();
  void set_current(unsigned t);
  void settle();
  Fiber* idle_fiber();
  Fiber* next_fiber();
  Switch wait();
  void open_barrier();
  void open_meeting(Warp& w, uint32_t mask);
  [[noreturn]] void fail_with_report(const char* message);
  static void fiber_main(boost::context::detail::transfer_t from);
  std::string describe(unsigned t) const;

  unsigned threads_ = 0;    // of a block
  unsigned left_ = 0;       // that have not returned
  unsigned blocked_ = 0;    // that wait at __syncthreads
  unsigned run_start_ = 0;  // first thread of the current run: see settle()
  unsigned syncs_ = 0;      // how many __syncthreads there were
  uint32_t random_ = 0;
  Fiber home_;  // the OS thread's own stack
  Fiber* running_ = &home_;
  std::deque<Fiber> fibers_;
  std::vector<Fiber*> idle_;  // those that no thread uses
  // Only the addresses matter, to ThreadSanitizer: who passes through acquires what others have released there.
  char sync_block_[2], sync_warp_[max_warps][2], start_, end_;
};

extern __thread Block* block SIMT_TLS;  // of this OS thread

std::string here();           // "kernel add, block (1,0,0), thread (2,0,0)"
std::string name_for_tsan();  // "block (1,0,0), thread (2,0,0), add": of a name, it shows the first 63 characters

}  // namespace simt
