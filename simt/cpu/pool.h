// The workers of the simulator: a few OS threads that share the blocks of a grid, or the iterations of a loop.
// For host code too: nothing of CUDA's language is in here.
#pragma once
#include <atomic>
#include <exception>
#include <mutex>

namespace simt {

// How many OS threads work, the calling one included: by default one a core, or SIMT_WORKERS. To be set before the
// first kernel or loop runs. Results do not depend on it.
void set_workers(int n);
int workers();

// Calls work(context) on the calling thread and, if there is more than one task, at the same time on other workers, on
// some or all of them; comes back when all calls have returned.
void run_on_workers(long tasks, void (*work)(void* context), void* context);

// f(i) for every i in [0, n), each once, in no particular order, on the workers' own stacks of full size (so f may call
// a BLAS). The first exception is thrown again here. Not to be nested, neither in itself nor in a kernel.
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
    std::mutex mutex;
    std::exception_ptr error;
  } loop{f, n, {}, {}, {}};
  run_on_workers(
      n,
      [](void* context) {
        Loop& loop = *static_cast<Loop*>(context);
        try {
          for (int i; (i = loop.next.fetch_add(1)) < loop.n;) loop.f(i);
        } catch (...) {
          std::lock_guard lock(loop.mutex);
          if (!loop.error) loop.error = std::current_exception();
          loop.next = loop.n;
        }
      },
      &loop);
  if (loop.error) std::rethrow_exception(loop.error);
}

}  // namespace simt
