// Fiber: a stack and the saved context of its code. Internal to the simulator.
//
// Boost.Context's jump_fcontext(to, data) saves registers on the stack and resumes `to`, where it returns
// {saved context, data}. The resumed side stores that context in *data (perform() in language.h).
//
// AddressSanitizer must know the current stack, ThreadSanitizer the current fiber (to it, a thread).
#pragma once
#include <cstddef>

#include "language.h"

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#define SIMT_ASAN 1
#else
#define SIMT_ASAN 0
#endif

#ifdef SIMT_TSAN  // set by CMake: kernels are compiled with -fsanitize=thread, the simulator is not
#include <sanitizer/tsan_interface.h>
extern "C" void AnnotateIgnoreReadsBegin(const char*, int), AnnotateIgnoreReadsEnd(const char*, int);
extern "C" void AnnotateIgnoreWritesBegin(const char*, int), AnnotateIgnoreWritesEnd(const char*, int);
#else
#define SIMT_TSAN 0
inline void __tsan_acquire(void*) {}
inline void __tsan_release(void*) {}
#endif

namespace simt {

// Hides the simulator's accesses (malloc, memset, a shuffle's copies) from ThreadSanitizer while alive.
struct [[maybe_unused]] Untracked {
#if SIMT_TSAN
  Untracked() { AnnotateIgnoreReadsBegin(__FILE__, __LINE__), AnnotateIgnoreWritesBegin(__FILE__, __LINE__); }
  ~Untracked() { AnnotateIgnoreWritesEnd(__FILE__, __LINE__), AnnotateIgnoreReadsEnd(__FILE__, __LINE__); }
#endif
};

struct Fiber {
  Fiber();  // the OS thread's own stack
  // A new stack on which main starts, with entered().
  Fiber(void (*main)(boost::context::detail::transfer_t), unsigned number);
  Fiber(const Fiber&) = delete;
  ~Fiber();

  void* context = nullptr;
  char* stack = nullptr;  // lowest address
  size_t size = 0;
  bool owned = false;
  void* tsan = nullptr;
};

// Stacks are staggered: equal offsets in equally aligned stacks would share a few cache sets.
constexpr size_t fiber_stack_bytes = (SIMT_ASAN ? 256 : 64) << 10, stack_guard = 4096, stagger = 1088,
                 staggers = 32, fiber_bytes = stack_guard + fiber_stack_bytes + stagger * staggers;

// Returns the switch between two fibers; with a sanitizer performs it and returns an empty one.
inline Switch switch_fibers(Fiber& from, Fiber& to) {
#if SIMT_ASAN
  void* fake_stack;
  __sanitizer_start_switch_fiber(&fake_stack, to.stack, to.size);
#endif
#if SIMT_TSAN
  __tsan_switch_to_fiber(to.tsan, __tsan_switch_to_fiber_no_sync);
#endif
#if SIMT_ASAN || SIMT_TSAN
  perform({to.context, &from.context});
#if SIMT_ASAN
  __sanitizer_finish_switch_fiber(fake_stack, nullptr, nullptr);
#endif
  return {};
#else
  return {to.context, &from.context};
#endif
}

// Completes the switch to a new fiber.
inline void entered(boost::context::detail::transfer_t from) {
  *static_cast<void**>(from.data) = from.fctx;
#if SIMT_ASAN
  __sanitizer_finish_switch_fiber(nullptr, nullptr, nullptr);
#endif
}

}  // namespace simt
