// Trace of one block in the format of docs/study.md, by PTX_TRACE=KERNEL:X,Y,Z:FILE.json, of the first launch
// of KERNEL ("layer_norm_backward_kernel").
#pragma once
#include <memory>
#include <string>

#include "block.h"

namespace ptx {

class Trace {
 public:
  // Null unless PTX_TRACE names this kernel and block, and no block was traced before.
  static std::unique_ptr<Trace> start(const Kernel& kernel, Size3 grid, Size3 block, Size3 index,
                                      unsigned dynamic_shared);
  ~Trace();

  void before(Warp& warp, const Instruction& i, Mask mask);  // values of loads
  void after(Warp& warp, const Instruction& i, Mask mask);   // values of stores; adds the step
  void barrier(Warp& warp, const Instruction& i, Mask mask);
  void write();  // throws std::runtime_error

 private:
  struct Content;
  explicit Trace(std::unique_ptr<Content>);
  std::unique_ptr<Content> content_;
};

}  // namespace ptx
