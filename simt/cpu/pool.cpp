// Pool of worker threads that sleep until there is work.
#include "pool.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <exception>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "language.h"

namespace simt {
namespace {

int wanted_workers = 0;  // from set_workers
std::atomic<bool> pool_exists{false};
thread_local bool working = false;  // this OS thread is inside run_on_workers

int count_workers() {
  if (wanted_workers > 0) return wanted_workers;
  if (const char* n = std::getenv("SIMT_WORKERS")) {
    char* end;
    const long value = std::strtol(n, &end, 10);
    if (end == n || *end || value < 1 || value > 1024)
      fail("SIMT_WORKERS is \"%s\"; it must be a number from 1 to 1024", n);
    return int(value);
  }
#ifdef SIMT_TSAN
  return 1;  // enough to detect races between CUDA threads
#else
  return int(std::max(1u, std::thread::hardware_concurrency()));
#endif
}

// count − 1 threads, as the caller of run() works too.
class Pool {
 public:
  int count = count_workers();

  Pool() {
    try {
      for (int i = 1; i < count; i++) threads_.emplace_back([this] { loop(); });
    } catch (const std::system_error&) {  // no more threads available: use fewer
      count = int(threads_.size()) + 1;
    }
  }
  ~Pool() {
    {
      std::lock_guard lock(mutex_);
      stop_ = true;
    }
    wake_.notify_all();
    for (auto& thread : threads_) thread.join();
  }

  void run(long tasks, void (*work)(void*), void* context) {
    if (working) fail("a kernel or a parallel loop was started inside of another one");
    std::lock_guard one_at_a_time(running_);
    working = true;
    if (count > 1 && tasks > 1) {
      {
        std::lock_guard lock(mutex_);
        work_ = work, context_ = context, round_++;
      }
      wake_.notify_all();
    }
    attempt(work, context);
    working = false;
    {
      std::lock_guard lock(mutex_);
      work_ = nullptr;  // later wakers find no work
    }
    const std::unique_lock lock = wait(finished_, [&] { return busy_ == 0; });
    if (error_) std::rethrow_exception(std::exchange(error_, nullptr));
  }

 private:
  // Up to a millisecond without sleeping: the next launch mostly follows at once, and waking a thread can take
  // longer than a kernel.
  template <class Done>
  std::unique_lock<std::mutex> wait(std::condition_variable& condition, Done done) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(1);
    while (!done() && std::chrono::steady_clock::now() < end) std::this_thread::yield();
    std::unique_lock lock(mutex_);
    condition.wait(lock, done);
    return lock;
  }

  void attempt(void (*work)(void*), void* context) {
    try {
      work(context);
    } catch (...) {
      const std::lock_guard lock(mutex_);
      if (!error_) error_ = std::current_exception();
    }
  }

  void loop() {
    working = true;
    for (unsigned seen = 0;;) {
      std::unique_lock lock = wait(wake_, [&] { return stop_ || round_ != seen; });
      if (stop_) return;
      seen = round_;
      if (!work_) continue;
      auto* work = work_;
      void* context = context_;
      busy_++;
      lock.unlock();
      attempt(work, context);
      lock.lock();
      if (--busy_ == 0) finished_.notify_one();
    }
  }

  std::mutex running_, mutex_;
  std::condition_variable wake_, finished_;
  void (*work_)(void*) = nullptr;
  void* context_ = nullptr;
  std::exception_ptr error_;
  std::atomic<unsigned> round_ = 0;  // wraps around
  std::atomic<int> busy_ = 0;
  std::atomic<bool> stop_ = false;
  std::vector<std::thread> threads_;
};

Pool& pool() {
  static Pool pool;
  pool_exists = true;
  return pool;
}

}  // namespace

void set_workers(int n) {
  if (n < 1) fail("set_workers: at least one");
  if (pool_exists && n != pool().count)
    fail("set_workers must come before the first kernel or parallel loop");
  wanted_workers = n;
}
int workers() { return pool().count; }
void run_on_workers(long tasks, void (*work)(void*), void* context) { pool().run(tasks, work, context); }

}  // namespace simt
