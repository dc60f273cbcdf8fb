#include "stream.h"

#include <algorithm>
#include <random>
#include <stdexcept>
#include <utility>

#include "language.h"

namespace simt {

void enqueue(CUstream_st* stream, std::function<void()> work) {
  if (!stream || !stream->graph) return work();
  auto& nodes = stream->graph->nodes;
  nodes.push_back({std::move(work), stream->after});
  stream->after = {int(nodes.size()) - 1};
}

void follow(CUstream_st& stream, const std::vector<int>& nodes) {
  for (const int node : nodes)
    if (std::find(stream.after.begin(), stream.after.end(), node) == stream.after.end())
      stream.after.push_back(node);
}

void wait(CUstream_st& stream, const CUstream_st& other) {
  if (stream.graph && !other.graph)
    throw std::logic_error("a stream under capture waits for one that is not; CUDA refuses that");
  stream.graph = other.graph;
  follow(stream, other.after);
}

std::vector<int> Graph::order(OrderAndSeed how) const {
  const auto [order, seed] = how;
  std::mt19937 random(seed + 7919 * launches);
  std::vector<int> waits_for(nodes.size()), ready, result;
  std::vector<std::vector<int>> next(nodes.size());
  for (int i = 0; i < int(nodes.size()); i++) {
    waits_for[i] = int(nodes[i].after.size());
    for (const int before : nodes[i].after) next[before].push_back(i);
    if (!waits_for[i]) ready.push_back(i);
  }
  while (!ready.empty()) {
    auto pick = ready.begin();
    if (order == Order::forward) pick = std::min_element(ready.begin(), ready.end());
    if (order == Order::reverse) pick = std::max_element(ready.begin(), ready.end());
    if (order == Order::random) pick += long(random() % ready.size());
    const int node = *pick;
    ready.erase(pick);
    result.push_back(node);
    for (const int follower : next[node])
      if (!--waits_for[follower]) ready.push_back(follower);
  }
  return result;
}

void Graph::launch(OrderAndSeed how) {
  for (const int node : order(how)) nodes[node].run();
  launches++;
}

}  // namespace simt
