// Kernels with one planted bug each, to test detection and messages:  planted_bugs <name>
// "<- name" marks the lines that a message must name (for CMakeLists.txt).
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <utility>

#include "simt/cpu/pool.h"
#include "simt/simt.h"
#include "tests/support/buffer.h"

namespace warpbert::test {

enum class Bug {
  none,
  no_first_barrier,
  no_second_barrier,
  divergent_barrier,
  early_return,
  warp_divergence,
  lane_not_in_mask,
  never_written,
  global_overrun,
  shared_overrun,
};

// Sums rows of 256 floats, correctly except for the bug.
template <Bug B>
static __global__ void row_sums(float* sums, const float* x, int rows) {
  float* parts = dynamic_shared<float>();  // [8], one per warp
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  for (int row = blockIdx.x; row < rows; row += gridDim.x) {
    const int beyond = B == Bug::global_overrun && row == rows - 1;
    float sum = x[row * 256 + threadIdx.x + beyond];  // <- global_overrun
    sum = warp_sum(sum);
    if (lane == 0 && !(B == Bug::never_written && warp == 3))
      parts[warp + (B == Bug::shared_overrun && warp == 7)] = sum;  // <- parts_written
    if (B == Bug::divergent_barrier) {
      if (warp < 4) __syncthreads();  // <- divergent_first
      else __syncthreads();           // <- divergent_second
    } else if (B == Bug::early_return && threadIdx.x == 200) {
      return;
    } else if (B != Bug::no_first_barrier) {
      __syncthreads();  // <- first_barrier: parts must be complete
    }
    if (warp == 0) {
      sum = lane < 8 ? parts[lane] : 0;  // <- parts_read
      const unsigned mask = B == Bug::lane_not_in_mask ? 0xff : 0xffffffff;
      if (B == Bug::warp_divergence && lane < 8)
        for (int i = 4; i > 0; i /= 2) sum += __shfl_xor_sync(mask, sum, i);  // <- shuffle_of_some
      else
        for (int i = 4; i > 0; i /= 2) sum += __shfl_xor_sync(mask, sum, i);  // <- shuffle_of_others
      if (lane == 0) sums[row] = sum;
    }
    if (B != Bug::no_second_barrier) __syncthreads();  // the next row overwrites parts
  }
}

// Reverses 128 floats through shared memory.
static __global__ void reverse(float* y, const float* x, bool wait, bool sync) {
  auto& s = shared<float[128]>();
  cp_async16(&s[threadIdx.x * 4], x + threadIdx.x * 4);  // <- copy_begins
  cp_async_commit();
  if (wait) cp_async_wait<0>();  // <- copied
  if (sync) __syncwarp();
  for (int i = 0; i < 4; i++) y[threadIdx.x * 4 + i] = s[127 - threadIdx.x * 4 - i];  // <- read_of_another
}

// Reverses 128 floats, but overwrites them while other lanes may still read.
static __global__ void copy_too_early(float* y, const float* x) {
  auto& s = shared<float[128]>();
  for (int i = 0; i < 4; i++) s[threadIdx.x * 4 + i] = x[threadIdx.x * 4 + i];
  __syncwarp();
  cp_async16(&s[threadIdx.x * 4], x + 128 + threadIdx.x * 4);  // <- early_copy
  cp_async_commit();
  for (int i = 0; i < 4; i++) y[threadIdx.x * 4 + i] = s[127 - threadIdx.x * 4 - i];  // <- read_too_late
  __syncwarp();
  cp_async_wait<0>();
}

static __global__ void count(float* counter) {
  if (threadIdx.x == 0) counter[0] += 1;  // <- count: every block does, so it would take atomicAdd
}

static __global__ void load_vector(float* y, const float* x) {
  *reinterpret_cast<float4*>(y) = *reinterpret_cast<const float4*>(x + 1);  // <- misaligned
}

static __global__ void run_over_array(float* y, int n) {
  auto& s = shared<float[8]>();
  for (int i = 0; i <= n; i++) s[i] = float(i);  // <- array_overrun
  *y = s[0];
}

static __global__ void leave_early(float* y) {
  if (threadIdx.x == 7) return;
  y[threadIdx.x] = warp_sum(y[threadIdx.x]);  // <- lane_has_returned
}

// Sums a block in its last warp.
static __global__ void last_warp(float* y, bool leave, bool sync) {
  auto& values = shared<float[96]>();
  values[threadIdx.x] = 1;
  if (leave && threadIdx.x == 5) return;
  if (!sync_into_last_warp()) {  // <- last_warp
    if (sync) __syncwarp();      // <- after_last_warp
    return;
  }
  *y = values[0] + values[95];
}

static __global__ void part_of_a_warp(float* y) {
  y[threadIdx.x] = warp_sum(y[threadIdx.x]);  // <- part_of_a_warp
}

static __global__ void shuffle_from_outside(float* y) {
  if (threadIdx.x < 16) y[threadIdx.x] = __shfl_sync(0xffff, y[threadIdx.x], 20);  // <- shuffle_from_outside
}

static __global__ void copy_to_odd_address(float* y) {
  cp_async16(&shared<float[8]>()[1], y);  // <- copy_to_odd_address
}

template <size_t Bytes>
static __global__ void large_variable(float* y) {
  auto& s = shared<unsigned char[Bytes]>();  // <- large_variable
  *y = s[0];
}

static __global__ void nothing() {}
static __global__ void print_number() { std::printf("%u ", blockIdx.x); }

struct Case {
  const char* name;
  void (*run)(float* y, const float* x);
};

constexpr int rows = 10;

template <Bug B>
void run_row_sums(float* y, const float* x) {
  launch<row_sums<B>>(3, 256, 8 * sizeof(float), nullptr, y, x, rows);
}

const Case cases[] = {
    {"none", run_row_sums<Bug::none>},
    {"no_first_barrier", run_row_sums<Bug::no_first_barrier>},
    {"no_second_barrier", run_row_sums<Bug::no_second_barrier>},
    {"divergent_barrier", run_row_sums<Bug::divergent_barrier>},
    {"early_return", run_row_sums<Bug::early_return>},
    {"warp_divergence", run_row_sums<Bug::warp_divergence>},
    {"lane_not_in_mask", run_row_sums<Bug::lane_not_in_mask>},
    {"never_written", run_row_sums<Bug::never_written>},
    {"global_overrun", run_row_sums<Bug::global_overrun>},
    {"shared_overrun", run_row_sums<Bug::shared_overrun>},
    {"no_copy_wait", [](float* y, const float* x) { launch<reverse>(1, 32, 0, nullptr, y, x, false, true); }},
    {"no_syncwarp", [](float* y, const float* x) { launch<reverse>(1, 32, 0, nullptr, y, x, true, false); }},
    {"early_copy", [](float* y, const float* x) { launch<copy_too_early>(1, 32, 0, nullptr, y, x); }},
    {"no_atomic", [](float* y, const float*) { launch<count>(50, 32, 0, nullptr, y); }},
    {"misaligned_vector", [](float* y, const float* x) { launch<load_vector>(1, 1, 0, nullptr, y, x); }},
    {"array_overrun", [](float* y, const float*) { launch<run_over_array>(1, 1, 0, nullptr, y, 8); }},
    {"lane_has_returned", [](float* y, const float*) { launch<leave_early>(1, 32, 0, nullptr, y); }},
    {"last_warp_lacks_a_thread",
     [](float* y, const float*) { launch<last_warp>(1, 96, 0, nullptr, y, true, false); }},
    {"sync_after_last_warp",
     [](float* y, const float*) { launch<last_warp>(1, 96, 0, nullptr, y, false, true); }},
    {"part_of_a_warp", [](float* y, const float*) { launch<part_of_a_warp>(1, 48, 0, nullptr, y); }},
    {"shuffle_from_outside",
     [](float* y, const float*) { launch<shuffle_from_outside>(1, 32, 0, nullptr, y); }},
    {"copy_to_odd_address", [](float* y, const float*) { launch<copy_to_odd_address>(1, 1, 0, nullptr, y); }},
    {"large_variable",
     [](float* y, const float*) { launch<large_variable<48 * 1024 + 1>>(1, 1, 0, nullptr, y); }},
    {"large_sum",
     [](float* y, const float*) { launch<large_variable<48 << 10>>(1, 1, 60 << 10, nullptr, y); }},
    {"large_block", [](float*, const float*) { launch<nothing>(1, dim3(32, 33), 0, nullptr); }},
    {"large_grid", [](float*, const float*) { launch<nothing>(dim3(1, 65536), 32, 0, nullptr); }},
    {"large_dynamic", [](float*, const float*) { launch<nothing>(1, 32, (99 << 10) + 1, nullptr); }},
    {"no_blocks", [](float*, const float*) { launch<nothing>(0, 32, 0, nullptr); }},
    {"block_order", [](float*, const float*) { launch<print_number>(5, 1, 0, nullptr); }},
    {"nested",
     [](float*, const float*) { simt::parallel_for(3, [](int) { launch<nothing>(1, 1, 0, nullptr); }); }},
};

static int run(const std::string& name) {
  for (const Case& c : cases) {
    if (name != c.name) continue;
    Buffer<float> x(normal<float>(rows * 256)), y(rows * 256);
    const std::vector<float> zeros(rows * 256);
    std::vector<float> first;
    bool numbers = true;
    for (auto order : {simt::Order::forward, simt::Order::reverse, simt::Order::random}) {
      simt::set_order(order, 7);
      std::memcpy(y.data(), zeros.data(), zeros.size() * sizeof(float));
      c.run(y, x);
      for (float v : y.vector()) numbers &= v == v;
      if (first.empty()) first = y.vector();
      if (std::memcmp(first.data(), y.data(), first.size() * sizeof(float)))
        std::printf("%s: results depend on the order of threads\n", c.name);
    }
    std::printf("%s: finished%s\n", c.name, numbers ? "" : ", results are not numbers");
    return 0;
  }
  std::fprintf(stderr, "planted_bugs: no bug is called \"%s\"\n", name.c_str());
  return 2;
}

}  // namespace warpbert::test

int main(int argc, char** argv) {
  std::signal(SIGABRT, [](int) { std::_Exit(1); });  // CTest never passes a test that aborts
  try {
    return warpbert::test::run(argc > 1 ? argv[1] : "");
  } catch (const std::exception& e) {
    std::fprintf(stderr, "planted_bugs: %s\n", e.what());
    return 1;
  }
}
