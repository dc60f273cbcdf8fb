// Sets the simulator's order of threads, blocks and graph nodes, while alive.
#pragma once
#include "simt/cpu/stream.h"

namespace warpbert::test {

class ThreadOrder {
 public:
  explicit ThreadOrder(simt::OrderAndSeed how) : before_(simt::current_order()) {
    simt::set_order(how.order, how.seed);
  }
  ~ThreadOrder() { simt::set_order(before_.order, before_.seed); }
  ThreadOrder(const ThreadOrder&) = delete;

 private:
  simt::OrderAndSeed before_;
};

}  // namespace warpbert::test
