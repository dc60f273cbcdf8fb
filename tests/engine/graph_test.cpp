#include "engine/graph.h"

#include <doctest/doctest.h>
#include <algorithm>

#include <numeric>
#include <set>

#include "engine/gemm.h"

#ifndef WARPBERT_CUDA
#include "simt/cpu/language.h"
#include "tests/support/thread_order.h"
#endif

using namespace warpbert;

TEST_CASE("graph: what is recorded does not run, and each replay runs all of it") {
  Device device;
  DeviceArray<float> x(device, std::vector<float>{1, 2, 3, 4, 5, 6, 7, 8});
  DeviceArray<bf16> y(device, 8);
  y.zero();
  Graph graph(device, [&] { kernels::cast(device.stream(), y.data(), x.data(), 8); });
  CHECK(graph.nodes() == 1);
  CHECK(to_float(y.download()[3]) == 0);
  graph.launch();
  CHECK(to_float(y.download()[3]) == 4);
  x.upload({8, 7, 6, 5, 4, 3, 2, 1});  // a graph launch reads current memory
  graph.launch();
  CHECK(to_float(y.download()[3]) == 5);
}

TEST_CASE("graph: memory is filled and matrices are multiplied in it") {
  Device device;
  DeviceArray<float> a(device, std::vector<float>(64, 2.f)), b(device, std::vector<float>(64, 3.f)),
      c(device, 64);
  Gemm gemm(device, Precision::fp32);
  const auto matrix = [](DeviceArray<float>& x) { return kernels::view(x.data(), {8}, 8); };
  Graph graph(device, [&] {
    device.zero(c.data(), 64 * sizeof(float));
    gemm.multiply({matrix(c), matrix(a), matrix(b), Grad::accumulate});
    gemm.multiply({matrix(c), matrix(a), matrix(b), Grad::accumulate});
  });
  c.upload(std::vector<float>(64, 1e9f));
  for (int i = 0; i < 2; i++) {
    graph.launch();
    CHECK(c.download() == std::vector<float>(64, 96.f));
  }
  CHECK_THROWS_AS(Graph(device,
                        [&] {
                          gemm.multiply({matrix(c), matrix(a), kernels::view(b.data(), {7}, 8)});
                        }),
                  std::invalid_argument);
  graph.launch();  // a failed capture leaves the device usable
  CHECK(c.download() == std::vector<float>(64, 96.f));
}

#ifndef WARPBERT_CUDA
namespace {

// Two parallel chains: 1 2 on the stream, 3 4 5 on the side stream; forked after 0, joined before 6.
std::vector<int> launch_order(Device& device, simt::Order order, unsigned seed, bool fork = true,
                              bool join = true) {
  std::vector<int> ran;
  const auto node = [&](kernels::Stream stream, int i) {
    simt::enqueue(stream, [&ran, i] { ran.push_back(i); });
  };
  Graph graph(device, [&] {
    node(device.stream(), 0);
    if (fork) device.fork();
    for (int i = 1; i <= 2; i++) node(device.stream(), i);
    for (int i = 3; i <= 5; i++) node(device.side_stream(), i);
    if (join) device.join();
    node(device.stream(), 6);
  });
  CHECK(ran.empty());
  const test::ThreadOrder replay({order, seed});
  graph.launch();
  return ran;
}

}  // namespace

TEST_CASE(
    "graph: the simulator launches in orders that the edges allow, and in others where an edge is missing") {
  Device device;
  CHECK(launch_order(device, simt::Order::forward, 1) == std::vector<int>{0, 1, 2, 3, 4, 5, 6});
  CHECK(launch_order(device, simt::Order::reverse, 1) == std::vector<int>{0, 3, 4, 5, 1, 2, 6});
  std::set<std::vector<int>> orders, without_fork, without_join;
  for (unsigned seed = 0; seed < 200; seed++) {
    const auto ran = launch_order(device, simt::Order::random, seed);
    const auto place = [&](int i) { return std::find(ran.begin(), ran.end(), i) - ran.begin(); };
    REQUIRE(ran.size() == 7);
    for (const auto& [first, second] : {std::pair{0, 1}, {1, 2}, {0, 3}, {3, 4}, {4, 5}, {2, 6}, {5, 6}})
      REQUIRE(place(first) < place(second));
    orders.insert(ran);
    without_fork.insert(launch_order(device, simt::Order::random, seed, false));
    without_join.insert(launch_order(device, simt::Order::random, seed, true, false));
  }
  CHECK(orders.size() == 10);  // all interleavings of 1 2 and 3 4 5
  const auto some = [](const auto& all, auto what) { return std::any_of(all.begin(), all.end(), what); };
  CHECK(some(without_fork, [](const auto& ran) { return ran[0] == 3; }));
  CHECK(some(without_join, [](const auto& ran) { return ran.back() == 5; }));
}

TEST_CASE("graph: as in CUDA a stream joins a capture by waiting for it, and cannot be waited for before") {
  simt::Graph graph;
  CUstream_st main, side;
  main.graph = &graph;
  CHECK_THROWS_AS(simt::wait(main, side), std::logic_error);
  simt::wait(side, main);
  CHECK(side.graph == &graph);
  CHECK_NOTHROW(simt::wait(main, side));
}

TEST_CASE("graph: copies from and to the host are refused in a capture") {
  Device device;
  DeviceArray<float> x(device, 1);
  CHECK_THROWS_AS(Graph(device, [&] { x.upload({1}); }), std::logic_error);
  CHECK_THROWS_AS(Graph(device, [&] { x.download(); }), std::logic_error);
}
#endif
