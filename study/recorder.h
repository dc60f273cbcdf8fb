// Records one block: loads and stores by access_hooks.h, the rest by simt/cpu/observer.h.
#pragma once
#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "access_hooks.h"
#include "simt/cpu/language.h"
#include "simt/cpu/observer.h"
#include "simt/launch_observer.h"

namespace warpbert::study {

struct Memory {
  uintptr_t begin = 0;
  size_t bytes = 0;
  const char* file = nullptr;  // declares the shared variable
  int line = 0;
  bool holds(uintptr_t address) const { return address >= begin && address < begin + bytes; }
};

struct Event {
  enum Kind : uint8_t { load, store, atomic, collective, barrier, copy, wait };
  Kind kind;
  uint8_t bytes = 0;      // of an access
  int chain = 0;          // of Recording::chains
  uintptr_t address = 0;  // accessed, or target of a copy
  uintptr_t from = 0;     // of a copy
  int group = 0;          // of a copy; a wait completes lower groups
  unsigned mask = 0;
  const char* what = "";               // of a collective
  int operands = -1;                   // of Recording::operands
  std::array<uint8_t, 16> value = {};  // loaded, stored, or before an atomic
};

// Operands and results of a lane in a collective: registers of a matrix operation (a, b, c), else the
// argument's target before and after.
struct Operands {
  std::array<uint32_t, 10> in = {};
  std::array<uint32_t, 6> out = {};
};

struct Argument {
  std::vector<uint8_t> bytes;
};

struct Recording {
  std::string signature;
  std::array<unsigned, 3> grid = {}, block = {}, at = {};
  size_t dynamic_bytes = 0;
  std::vector<Argument> arguments;
  std::vector<Memory> global, shared;
  std::vector<std::vector<const void*>> chains;  // code addresses, innermost first
  std::vector<std::vector<Event>> threads;
  std::vector<Operands> operands;
  bool found = false;
  size_t threads_per_block() const { return size_t(block[0]) * block[1] * block[2]; }
};

// Records the block `at` of the first launch of `kernel` ("layer_norm_backward_kernel") while alive. Needs
// one simulator worker.
class Recorder final : simt::LaunchObserver, simt::BlockObserver, AccessObserver {
 public:
  Recorder(std::string kernel, std::array<unsigned, 3> at, std::vector<Memory> global);
  Recorder(const Recorder&) = delete;
  ~Recorder();
  Recording& result() { return r_; }

 private:
  struct ThreadState {
    long pending_store = -1;  // the hook precedes the store: read at the thread's next event
    long last_collective = -1;
    int open_group = 0;
  };

  void before(const simt::Launch&) override;
  void after(const simt::Launch&) override;
  void access(void* p, size_t bytes, Access kind, void* pc, void** frame) override;
  void entered(void** frame) override { entered_ = frame; }
  void left() override;
  void barrier(const char* file, int line) override;
  void collective(unsigned mask, const char* what, const char* file, int line, const void* arg) override;
  void collective_done(unsigned mask, const char* what, const void* const* args) override;
  void shared_variable(const void* memory, size_t bytes, const char* file, int line) override;
  void async_copy(const void* to, const void* from) override;
  void async_commit() override;
  void async_waited(int pending) override;

  bool wanted() const;
  int chain(const void* pc, void** frame);
  void read_pending_store(int thread);
  Event& add(Event::Kind kind, const void* pc, void** frame);

  std::string kernel_;
  Recording r_;
  std::vector<ThreadState> state_;
  std::map<std::vector<const void*>, int> known_;
  std::vector<const void*> walk_;
  void** entered_ = nullptr;  // frame of the last function
  bool recording_ = false;
  size_t at_barrier_ = 0;
};

}  // namespace warpbert::study
