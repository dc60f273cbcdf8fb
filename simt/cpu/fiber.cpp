#include "fiber.h"

#include <pthread.h>
#include <sys/mman.h>

#include "block.h"
#include "memory.h"

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

Fiber::Fiber(void (*main)(boost::context::detail::transfer_t), unsigned number) {
  size = fiber_bytes;
  stack = map_memory(size, "the simulator", max_stack_bytes);
  owned = true;
  // A stack overflow must crash, not corrupt. (No guard beyond Linux's limit on mappings.)
  (void)mprotect(stack, stack_guard, PROT_NONE);
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
