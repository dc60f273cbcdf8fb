// Autograd tape: the ops' backward closures, which backward() runs in reverse.
//
// One tape serves one forward pass; its arena holds outputs and what backward needs. Without recording
// (evaluation) there are no closures and no dropout.
#pragma once
#include <deque>
#include <functional>
#include <initializer_list>
#include <string>
#include <vector>

#include "tensor.h"

namespace warpbert {

struct Parameter;

class Tape {
 public:
  // `random`: key of this pass's dropout, in device memory; null without dropout.
  Tape(Device& device, Gemm& gemm, Arena& arena, DType dtype, bool recording = true,
       const kernels::RandomState* random = nullptr)
      : device_(device), gemm_(gemm), arena_(arena), dtype_(dtype), recording_(recording), random_(random) {}
  Tape(const Tape&) = delete;

  Tensor tensor(const char* name, kernels::Rows rows, int cols);  // in the tape's dtype
  Tensor tensor(const char* name, kernels::Rows rows, int cols, DType dtype);
  Tensor like(const char* name, Tensor x) { return tensor(name, x.rows(), x.cols(), x.dtype()); }
  // Wraps the caller's memory (an input).
  Tensor view(const char* name, void* data, kernels::Rows rows, int cols, DType dtype);
  float* floats(const char* name, size_t n) { return arena_.allocate<float>(n, name); }

  // Appends the backward closure of op `name`; skipped if `output` has no gradient.
  void on_backward(const char* name, Tensor output, std::function<void()> step);
  void backward();

  // Side stream for weight gradients, with its own Gemm; backward() ends with join(). fork() calls `update`,
  // which launches there, for each weight whose gradient is complete and that nothing reads any more.
  void use_branch(Gemm& gemm, std::function<void(Parameter&)> update = {});
  // For ops: fork() before side-stream work; weight_gradient_done() after the last use of the weight; join()
  // before adding to a gradient that the side stream may have written.
  void fork();
  Gemm& branch_gemm() { return branch_ ? *branch_ : gemm_; }
  void weight_gradient_done(Parameter& weight);
  void join();
  // Queues second-stage bias-gradient reductions for the side stream, as many per launch as fit (one BERT
  // layer's). Complete after join().
  void finish(std::initializer_list<kernels::ColumnSum> sums);

  // Off when not recording.
  kernels::Dropout dropout(float rate, uint32_t site) const;

  Device& device() { return device_; }
  kernels::Stream stream() const { return device_.stream(); }
  Gemm& gemm() { return gemm_; }
  DType dtype() const { return dtype_; }
  bool recording() const { return recording_; }
  size_t steps() const { return steps_.size(); }

 private:
  void finish_sums();
  struct Step {
    const char* name;
    Tensor output;
    std::function<void()> run;
  };
  Device& device_;
  Gemm& gemm_;
  Gemm* branch_ = nullptr;
  std::function<void(Parameter&)> update_;
  std::vector<Parameter*> complete_;      // since the last fork
  std::vector<kernels::ColumnSum> sums_;  // queued reductions
  Arena& arena_;
  DType dtype_;
  bool recording_;
  const kernels::RandomState* random_;
  std::deque<TensorData> tensors_;
  std::vector<Step> steps_;
};

}  // namespace warpbert
