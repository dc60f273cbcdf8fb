// The tape: what forward did, in order, as a list of steps back. backward() runs them from the last to the first.
//
// One tape serves one forward pass: ops take their outputs, and what backward needs, from its arena, and append their
// step. Not recording (evaluation) means that no steps are kept and dropout is off.
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
  // `random`: device memory with the key of this pass's dropout; null where none is used.
  Tape(Device& device, Gemm& gemm, Arena& arena, DType dtype, bool recording = true,
       const kernels::RandomState* random = nullptr)
      : device_(device), gemm_(gemm), arena_(arena), dtype_(dtype), recording_(recording), random_(random) {}
  Tape(const Tape&) = delete;

  Tensor tensor(const char* name, kernels::Rows rows, int cols);  // in the tape's dtype
  Tensor tensor(const char* name, kernels::Rows rows, int cols, DType dtype);
  Tensor like(const char* name, Tensor x) { return tensor(name, x.rows(), x.cols(), x.dtype()); }
  // A tensor on memory of the caller's (an input).
  Tensor view(const char* name, void* data, kernels::Rows rows, int cols, DType dtype);
  float* floats(const char* name, size_t n) { return arena_.allocate<float>(n, name); }

  // Appends the step back of the op `name`. Outputs nobody reads have no gradient: their steps are skipped.
  void on_backward(const char* name, Tensor output, std::function<void()> step);
  void backward();

  // A branch beside the stream, with a Gemm of its own, for gradients of weights: nothing waits for them until backward
  // ends. `update`, if there is one, is called for each weight on that branch once its gradient is complete and nobody
  // reads the weight any more.
  void use_branch(Gemm& gemm, std::function<void(Parameter&)> update = {});
  // Called by an op: fork() before work on the branch, weight_gradient_done() after its last use of the weight, join()
  // before work that adds to a gradient the branch may have written.
  void fork();
  Gemm& branch_gemm() { return branch_ ? *branch_ : gemm_; }
  void weight_gradient_done(Parameter& weight);
  void join();
  // The second stage of sums over rows, which become gradients of vectors: on the branch, as nothing in backward reads
  // them, and for as many at a time as a launch takes (those of one BERT layer). Complete after join().
  void finish(std::initializer_list<kernels::ColumnSum> sums);

  // Dropout of the given rate at a site of the model; off when not recording.
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
  std::vector<Parameter*> complete_;      // gradients that are done since the last fork
  std::vector<kernels::ColumnSum> sums_;  // to be finished
  Arena& arena_;
  DType dtype_;
  bool recording_;
  const kernels::RandomState* random_;
  std::deque<TensorData> tensors_;
  std::vector<Step> steps_;
};

}  // namespace warpbert
