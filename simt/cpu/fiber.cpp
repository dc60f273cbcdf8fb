// Stacks for fibers.
#include "fiber.h"

#include <pthread.h>
#include <sys/mman.h>

#include "block.h"

namespace simt {

Fiber::Fiber() {
  pthread_attr_t attributes;
  void* lowest;
  pthread_getattr_np(pthread_self(), &attributes);
  pthread_attr_getstack(&attributes, &lowest, &size);
  pthread_attr_destroy(&attributes);
  stack = static_cast<char*>(lowest);
#if SIMT_TSAN
  tsan = __tsan_get_current_fiber();
#endif
}

// Threads of a block use the same few places of their stacks at the same time. At equal offsets in equally aligned
// stacks these would all fall into the same few sets of the cache, so each stack starts a little lower than the last.
Fiber::Fiber(void (*main)(boost::context::detail::transfer_t), unsigned number) {
  constexpr size_t guard = 4096, stagger = 1088, staggers = 32;
  size = guard + fiber_stack_bytes + stagger * staggers;
  void* memory =
      mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
  if (memory == MAP_FAILED) fail("no memory for the stack of one more thread");
  stack = static_cast<char*>(memory);
  owned = true;
  // A stack overflow is to crash, not to corrupt. (Linux limits the number of mappings; above it there is no guard.)
  (void)mprotect(stack, guard, PROT_NONE);
  const size_t used = size - number % staggers * stagger;
  context = boost::context::detail::make_fcontext(stack + used, used, main);
#if SIMT_TSAN
  tsan = __tsan_create_fiber(0);
#endif
}

// ThreadSanitizer's fiber stays: destroyed in the middle of fiber_main, it would be reported.
Fiber::~Fiber() {
  if (owned) munmap(stack, size);
}

}  // namespace simt
