// Activation matrix in the tape's arena. Backward allocates the gradient on first use. write_grad() tells
// whether to store or add, and is called exactly once per write.
#pragma once
#include <utility>

#include "arena.h"
#include "dtype.h"

namespace warpbert {

struct TensorData {
  const char* name;
  View value, grad;  // grad.data: null until first used
  bool grad_written = false;
  bool read = false, read_alone = false;
  Arena* arena;
};

class Tensor {
 public:
  Tensor() = default;
  explicit Tensor(TensorData* data) : t_(data) {}

  const View& view() const { return t_->value; }
  kernels::Rows rows() const { return t_->value.rows; }
  int capacity() const { return t_->value.rows.capacity; }
  int cols() const { return t_->value.cols; }
  DType dtype() const { return t_->value.dtype; }
  const char* name() const { return t_->name; }
  template <class T>
  T* data() const {
    return t_->value.as<T>();
  }

  // Forward calls one of these per tensor an op reads. read_alone(): the op overwrites the tensor, or only
  // stores ("=") its gradient. Another reader, before or after, throws std::invalid_argument.
  void read(const char* op) const;
  void read_alone(const char* op) const;

  View grad() const;  // shape and dtype of the tensor, unless set_grad() gave another
  GradView write_grad() const {
    return {grad(), std::exchange(t_->grad_written, true) ? Grad::accumulate : Grad::overwrite};
  }
  View overwrite_grad() const;  // for tensors read alone: throws std::logic_error if written
  bool has_grad() const { return t_->grad_written; }

  // Gradient in other memory: cross-entropy writes it over the logits.
  void set_grad(const View& grad) const { t_->grad = grad, t_->grad_written = true; }

 private:
  TensorData* t_ = nullptr;
};

}  // namespace warpbert
