// Autograd tape of one forward pass. Without recording (evaluation) there are no closures and no dropout.
//
// Weight gradients and reductions run on a side stream, if there is one: weight_gradient(), reduce() and
// additive_grad() order the streams.
#pragma once
#include <deque>
#include <functional>
#include <initializer_list>
#include <string>
#include <vector>

#include "gemm.h"
#include "parameters.h"
#include "tensor.h"

namespace warpbert {

// [blocks, parts, cols].
struct Partials {
  float* data;
  int blocks, parts, cols;
};

class Tape {
 public:
  // `random`: device, null without dropout.
  Tape(Device& device, Gemm& gemm, Arena& arena, DType dtype, bool recording = true,
       const kernels::RandomState* random = nullptr)
      : device_(device), gemm_(gemm), arena_(arena), dtype_(dtype), recording_(recording), random_(random) {}
  Tape(const Tape&) = delete;

  Tensor tensor(const char* name, kernels::Rows rows, int cols);
  Tensor tensor(const char* name, kernels::Rows rows, int cols, DType dtype);
  Tensor like(const char* name, Tensor x) { return tensor(name, x.rows(), x.cols(), x.dtype()); }
  Tensor input(const char* name, const View& x);  // wraps the caller's memory
  float* floats(const char* name, size_t n) { return arena_.allocate<float>(n, name); }

  // Skipped if `output` has no gradient.
  void on_backward(const char* name, Tensor output, std::function<void()> closure);
  void backward();

  // For closures: f(gemm, gradient) launches the GEMM of a weight's gradient.
  template <class F>
  void weight_gradient(Parameter& weight, F f) {
    fork();
    f(side_gemm_ ? *side_gemm_ : gemm_, weight.write_grad());
    if (update_) complete_.push_back(&weight);
  }
  // For a kernel that only adds: zeroed if unwritten.
  View additive_grad(Parameter& p);
  Partials partials(int blocks, int parts, int cols);
  // Adds part k into the gradient of the k-th vector. Complete when backward() returns.
  void reduce(const Partials& partials, std::initializer_list<Parameter*> vectors);
  void reduce(const kernels::Reduction& reduction);

  // `update` launches on the side stream, for each weight whose gradient is complete and that nothing reads
  // any more.
  void use_side_stream(Gemm& gemm, std::function<void(Parameter&)> update = {});

  // Off when not recording.
  kernels::Dropout dropout(float rate, uint32_t site) const;

  Device& device() { return device_; }
  kernels::Stream stream() const { return device_.stream(); }
  Gemm& gemm() { return gemm_; }
  DType dtype() const { return dtype_; }
  size_t closures() const { return closures_.size(); }

 private:
  void fork();  // the side stream waits for the main stream
  void join();  // the main stream waits for the side stream
  void reduce_queued();
  struct Closure {
    const char* name;
    Tensor output;
    std::function<void()> run;
  };
  Device& device_;
  Gemm& gemm_;
  Gemm* side_gemm_ = nullptr;  // null: no side stream
  bool forked_ = false;        // since the last join
  std::function<void(Parameter&)> update_;
  std::vector<Parameter*> complete_;            // since the last fork
  std::vector<kernels::Reduction> reductions_;  // queued
  Arena& arena_;
  DType dtype_;
  bool recording_;
  const kernels::RandomState* random_;
  std::deque<TensorData> tensors_;
  std::vector<Closure> closures_;
};

}  // namespace warpbert
