#include "access_hooks.h"

namespace warpbert::study {

AccessObserver* access_observer = nullptr;

namespace {
inline void access(void* p, size_t bytes, Access kind, void* pc, void* own_frame) {
  if (access_observer) access_observer->access(p, bytes, kind, pc, *static_cast<void***>(own_frame));
}
}  // namespace

}  // namespace warpbert::study

// Entry points of g++'s instrumentation. They use little stack, as fibers have little.
using warpbert::study::Access;
using warpbert::study::access_observer;
#define WARPBERT_HOOK(name, bytes, kind)                                                              \
  void name(void* p) {                                                                                \
    warpbert::study::access(p, bytes, kind, __builtin_return_address(0), __builtin_frame_address(0)); \
  }
#define WARPBERT_HOOKS(n)                                    \
  WARPBERT_HOOK(__tsan_read##n, n, Access::load)             \
  WARPBERT_HOOK(__tsan_write##n, n, Access::store)           \
  WARPBERT_HOOK(__tsan_unaligned_read##n, n, Access::load)   \
  WARPBERT_HOOK(__tsan_unaligned_write##n, n, Access::store) \
  WARPBERT_HOOK(__tsan_volatile_read##n, n, Access::load)    \
  WARPBERT_HOOK(__tsan_volatile_write##n, n, Access::store)
extern "C" {
void __tsan_init() {}
void __tsan_func_entry(void*) {
  if (access_observer) access_observer->entered(*static_cast<void***>(__builtin_frame_address(0)));
}
void __tsan_func_exit() {
  if (access_observer) access_observer->left();
}
WARPBERT_HOOKS(1)
WARPBERT_HOOKS(2)
WARPBERT_HOOKS(4)
WARPBERT_HOOKS(8)
WARPBERT_HOOKS(16)
void __tsan_read_range(void* p, size_t n) {
  warpbert::study::access(p, n, Access::load, __builtin_return_address(0), __builtin_frame_address(0));
}
void __tsan_write_range(void* p, size_t n) {
  warpbert::study::access(p, n, Access::store, __builtin_return_address(0), __builtin_frame_address(0));
}
void __tsan_vptr_update(void**, void*) {}
void __tsan_vptr_read(void**) {}
void __tsan_atomic_thread_fence(int) { __atomic_thread_fence(__ATOMIC_SEQ_CST); }
unsigned __tsan_atomic32_fetch_add(volatile unsigned* p, unsigned value, int) {
  warpbert::study::access(const_cast<unsigned*>(p), 4, Access::atomic, __builtin_return_address(0),
                          __builtin_frame_address(0));
  return __atomic_fetch_add(p, value, __ATOMIC_SEQ_CST);
}
#define WARPBERT_ATOMIC_HOOKS(bits, type)                                                                 \
  type __tsan_atomic##bits##_load(const volatile type* p, int) {                                          \
    return __atomic_load_n(p, __ATOMIC_SEQ_CST);                                                          \
  }                                                                                                       \
  bool __tsan_atomic##bits##_compare_exchange_strong(volatile type* p, type* expected, type desired, int, \
                                                     int) {                                               \
    warpbert::study::access(const_cast<type*>(p), bits / 8, Access::atomic, __builtin_return_address(0),  \
                            __builtin_frame_address(0));                                                  \
    return __atomic_compare_exchange_n(p, expected, desired, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);  \
  }
WARPBERT_ATOMIC_HOOKS(32, unsigned)
WARPBERT_ATOMIC_HOOKS(64, unsigned long)
}
