// Streams and CUDA graphs of the simulator. A stream runs work at once; during capture each launch becomes a
// graph node. A graph launch runs the nodes in an order that the edges allow.
#pragma once
#include <functional>
#include <vector>

struct CUstream_st;

namespace simt {

// Order of blocks, runnable threads and graph nodes; default: SIMT_ORDER and SIMT_SEED.
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

// Makes later work of `stream` depend on all work sent to `other`. Waiting for a capturing stream joins its
// capture. Throws std::logic_error if a capturing stream waits for one that is not.
void wait(CUstream_st& stream, const CUstream_st& other);

}  // namespace simt

struct CUstream_st {
  simt::Graph* graph = nullptr;  // receives new work as nodes; null: work runs at once
  std::vector<int> after;        // dependencies of the next node
};
