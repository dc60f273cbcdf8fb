// Workers: OS threads that share the blocks of a grid or the iterations of a loop. For host code too.
#pragma once
#include <atomic>

namespace simt {

// Number of OS threads, including the caller: one per core, or SIMT_WORKERS. Set before the first kernel or
// loop. Results do not depend on it.
void set_workers(int n);
int workers();

// Calls work(context) on this thread and, if tasks > 1, concurrently on some or all other workers. Blocks
// until all have returned. Rethrows the first exception.
void run_on_workers(long tasks, void (*work)(void* context), void* context);

// Calls f(i) once for each i in [0, n), in any order, on full-size stacks (f may call a BLAS). Rethrows the
// first exception. Not to be nested, in itself or in a kernel.
template <class F>
void parallel_for(int n, F f) {
  if (n <= 1 || workers() == 1) {
    for (int i = 0; i < n; i++) f(i);
    return;
  }
  struct Loop {
    F& f;
    const int n;
    std::atomic<int> next{0};
  } loop{f, n, {}};
  run_on_workers(
      n,
      [](void* context) {
        Loop& loop = *static_cast<Loop*>(context);
        try {
          for (int i; (i = loop.next.fetch_add(1)) < loop.n;) loop.f(i);
        } catch (...) {
          loop.next = loop.n;
          throw;
        }
      },
      &loop);
}

}  // namespace simt
