// Streams and CUDA graphs of the simulator. A stream runs work at once; during capture each launch becomes a
// graph node, after the stream's previous node and those the stream waits for.
//
// A graph launch runs the nodes one by one in an order that the edges allow: as captured, highest first, or
// random (SIMT_ORDER). A missing edge shows in one of them.
#pragma once
#include <functional>
#include <vector>

struct CUstream_st;

namespace simt {

// Order of blocks, runnable threads and graph nodes. SIMT_ORDER = forward, reverse or random; SIMT_SEED =
// number.
enum class Order { forward, reverse, random };
void set_order(Order order, unsigned seed = 1);
struct OrderAndSeed {
  Order order = Order::forward;
  unsigned seed = 1;
};
OrderAndSeed current_order();

// A grid's block numbers in start order.
std::vector<long> block_order(long blocks, OrderAndSeed how = current_order());

struct Graph {
  struct Node {
    std::function<void()> run;
    std::vector<int> after;  // nodes it depends on
  };
  std::vector<Node> nodes;
  unsigned launches = 0;

  void launch(OrderAndSeed how = current_order());
  // Node numbers in the next launch()'s order.
  std::vector<int> order(OrderAndSeed how = current_order()) const;
};

// Sends work to a stream; null is a stream that is never captured.
void enqueue(CUstream_st* stream, std::function<void()> work);

// Makes later work of `stream` depend on these nodes of its graph.
void follow(CUstream_st& stream, const std::vector<int>& nodes);

// Makes later work of `stream` depend on all work sent to `other` so far. As in CUDA, waiting for a capturing
// stream joins its capture; a capturing stream must not wait for others: std::logic_error.
void wait(CUstream_st& stream, const CUstream_st& other);

}  // namespace simt

struct CUstream_st {
  simt::Graph* graph = nullptr;  // receives new work as nodes; null: work runs at once
  std::vector<int> after;        // dependencies of the next node
};
