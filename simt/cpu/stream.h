// Streams and graphs of the simulator. A stream runs what is sent to it at once, until its work is recorded as a graph:
// then each launch becomes a node, which follows the node before it in its stream and those that the stream waits for.
//
// A replay runs the nodes one after another in an order that the edges allow: as recorded, as late as possible, or at
// random (SIMT_ORDER). Work that lacks an edge it needs will meet an order that shows it.
#pragma once
#include <functional>
#include <vector>

struct CUstream_st;

namespace simt {

// In which order blocks start, threads that can run, and nodes of a graph. SIMT_ORDER = forward, reverse or random,
// SIMT_SEED = a number.
enum class Order { forward, reverse, random };
void set_order(Order order, unsigned seed = 1);
struct OrderAndSeed {
  Order order;
  unsigned seed;
};
OrderAndSeed current_order();

// The numbers of a grid's blocks in the order in which they start.
std::vector<long> block_order(long blocks, OrderAndSeed how = current_order());

struct Graph {
  struct Node {
    std::function<void()> run;
    std::vector<int> after;  // nodes that come before it
  };
  std::vector<Node> nodes;
  unsigned replays = 0;

  void replay(OrderAndSeed how = current_order());
  // The order of the next replay: node numbers.
  std::vector<int> order(OrderAndSeed how = current_order()) const;
};

// Sends work to a stream; null is a stream that is never recorded.
void enqueue(CUstream_st* stream, std::function<void()> work);

// What is sent to `stream` from now on also follows these nodes of its graph.
void follow(CUstream_st& stream, const std::vector<int>& nodes);

// What is sent to `stream` from now on follows all that was sent to `other` so far. As in CUDA a stream that waits for
// one that is being recorded is recorded from then on, and one that is being recorded cannot wait for one that is not:
// std::logic_error.
void wait(CUstream_st& stream, const CUstream_st& other);

}  // namespace simt

struct CUstream_st {
  simt::Graph* graph = nullptr;  // being recorded; null: work runs at once
  std::vector<int> after;        // what the next node follows
};
