// Kernel launch: limits, block order, distribution to workers.
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <numeric>
#include <random>
#include <stdexcept>

#include "block.h"
#include "pool.h"

namespace simt {
namespace {

OrderAndSeed order_from_environment() {
  OrderAndSeed how;
  if (const char* name = std::getenv("SIMT_ORDER")) {
    if (!std::strcmp(name, "forward")) how.order = Order::forward;
    else if (!std::strcmp(name, "reverse")) how.order = Order::reverse;
    else if (!std::strcmp(name, "random")) how.order = Order::random;
    else fail("SIMT_ORDER is \"%s\"; it may be forward, reverse or random", name);
  }
  if (const char* text = std::getenv("SIMT_SEED")) {
    char* end;
    how.seed = unsigned(std::strtoul(text, &end, 10));
    if (end == text || *end) fail("SIMT_SEED is \"%s\"; it must be a number", text);
  }
  return how;
}
OrderAndSeed& current_how() {
  static OrderAndSeed how = order_from_environment();
  return how;
}

// Throws std::invalid_argument beyond a GPU's limits (CUDA C++ Programming Guide, "Technical Specifications
// per Compute Capability").
void check(const Grid& grid) {
  const dim3 &g = grid.size, &b = grid.block;
  const auto refuse = [&](const char* why) {
    throw std::invalid_argument(launch_error(grid.signature, g, b, grid.dynamic_bytes, why));
  };
  if (!b.x || !b.y || !b.z || !g.x || !g.y || !g.z) refuse("no dimension may be 0");
  if (size_t(b.x) * b.y * b.z > max_threads) refuse("a block has at most 1024 threads");
  if (b.z > 64) refuse("a block's z is at most 64");
  if (g.x > 0x7fffffff) refuse("a grid's x is at most 2147483647");
  if (g.y > 65535 || g.z > 65535) refuse("a grid's y and z are at most 65535");
  if (grid.dynamic_bytes > max_shared) refuse("a block has at most 101376 bytes");
  static_assert(max_shared == 101376);
}

void work(void* grid) {
  thread_local std::unique_ptr<Block> mine;
  Grid& g = *static_cast<Grid*>(grid);
  try {
    if (!mine) mine = std::make_unique<Block>();
    block = mine.get();
    mine->run(g);
  } catch (...) {  // no memory; other threads of the block may be suspended
    mine.reset(), block = nullptr;
    g.next = g.blocks;
    throw;
  }
}

}  // namespace

OrderAndSeed current_order() { return current_how(); }
void set_order(Order order, unsigned seed) { current_how() = {order, seed}; }

std::vector<long> block_order(long blocks, OrderAndSeed how) {
  std::vector<long> numbers(blocks);
  std::iota(numbers.begin(), numbers.end(), 0);
  if (how.order == Order::reverse) std::reverse(numbers.begin(), numbers.end());
  if (how.order == Order::random) std::shuffle(numbers.begin(), numbers.end(), std::mt19937(how.seed));
  return numbers;
}

void run_grid(const char* signature, dim3 grid, dim3 block, size_t dynamic_bytes, void (*run)(void*),
              void* body) {
  const OrderAndSeed how = current_order();
  Grid g{signature, grid, block, dynamic_bytes, run, body, how.order, how.seed};
  check(g);
  g.blocks = long(grid.x) * grid.y * grid.z;
  g.numbers = block_order(g.blocks, how);
  run_on_workers(g.blocks, work, &g);
}

}  // namespace simt
