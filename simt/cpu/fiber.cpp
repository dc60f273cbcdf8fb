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

// Staggers stacks: threads use the same few stack offsets at a time, which in equally aligned stacks would
// map to the same few cache sets.
Fiber::Fiber(void (*main)(boost::context::detail::transfer_t), unsigned number) {
  constexpr size_t guard = 4096, stagger = 1088, staggers = 32;
  size = guard + fiber_stack_bytes + stagger * staggers;
  void* memory = mmap(nullptr, size, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
  if (memory == MAP_FAILED) fail("no memory for the stack of one more thread");
  stack = static_cast<char*>(memory);
  owned = true;
  // A stack overflow must crash, not corrupt. (No guard beyond Linux's limit on mappings.)
  (void)mprotect(stack, guard, PROT_NONE);
  const size_t used = size - number % staggers * stagger;
  context = boost::context::detail::make_fcontext(stack + used, used, main);
#if SIMT_TSAN
  tsan = __tsan_create_fiber(0);
#endif
}

// The TSan fiber is not destroyed: TSan would report that, as it is inside fiber_main.
Fiber::~Fiber() {
  if (owned) munmap(stack, size);
}

}  // namespace simt
