// A fiber: a stack of its own to run code on, and the place where that code was left. The simulator's own header.
//
// Boost.Context's jump_fcontext(to, data) saves the registers on the stack, goes to where `to` was left, and returns
// there with {where this one was left, data}; who arrives has to write the former down (perform() in simt_cpu.h).
//
// AddressSanitizer has to know which stack is in use, ThreadSanitizer which fiber runs (to it, a fiber is a thread).
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

#ifdef SIMT_TSAN  // by CMake: kernels are compiled with -fsanitize=thread, the simulator is not
#include <sanitizer/tsan_interface.h>
extern "C" void AnnotateIgnoreReadsBegin(const char*, int), AnnotateIgnoreReadsEnd(const char*, int);
extern "C" void AnnotateIgnoreWritesBegin(const char*, int), AnnotateIgnoreWritesEnd(const char*, int);
#else
#define SIMT_TSAN 0
inline void __tsan_acquire(void*) {}
inline void __tsan_release(void*) {}
#endif

namespace simt {

// While it lives, ThreadSanitizer overlooks what the simulator lets others do: malloc, memset, a shuffle's copying.
struct [[maybe_unused]] Untracked {
#if SIMT_TSAN
  Untracked() { AnnotateIgnoreReadsBegin(__FILE__, __LINE__), AnnotateIgnoreWritesBegin(__FILE__, __LINE__); }
  ~Untracked() { AnnotateIgnoreWritesEnd(__FILE__, __LINE__), AnnotateIgnoreReadsEnd(__FILE__, __LINE__); }
#endif
};

struct Fiber {
  Fiber();  // the OS thread's own stack
  Fiber(void (*main)(boost::context::detail::transfer_t),
        unsigned number);  // a new stack, on which main starts; it begins with entered()
  Fiber(const Fiber&) = delete;
  ~Fiber();

  void* context = nullptr;  // where it was left
  char* stack = nullptr;    // lowest address
  size_t size = 0;
  bool owned = false;
  void* tsan = nullptr;
};

constexpr size_t fiber_stack_bytes = (SIMT_ASAN ? 256 : 64) << 10;

// The switch from one fiber to another. With a sanitizer it has happened when this returns, and nothing is left to do.
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

// What a fiber's main has to begin with: it was switched to.
inline void entered(boost::context::detail::transfer_t from) {
  *static_cast<void**>(from.data) = from.fctx;
#if SIMT_ASAN
  __sanitizer_finish_switch_fiber(nullptr, nullptr, nullptr);
#endif
}

}  // namespace simt
