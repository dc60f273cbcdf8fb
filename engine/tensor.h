// Handle to an activation matrix [rows, cols] in the tape's arena.
//
// Backward allocates the gradient on first use. The first writer stores ("="), later ones add ("+="):
// accumulate() tells which, and is called exactly once per gradient written.
#pragma once
#include <utility>

#include "arena.h"
#include "dtype.h"
#include "gemm.h"

namespace warpbert {

struct TensorData {
  const char* name;
  kernels::Rows rows;
  int cols, ld;  // ld: leading dimension in elements
  DType dtype;
  void* data = nullptr;
  void* grad = nullptr;  // [rows.capacity, cols] in grad_dtype
  DType grad_dtype;
  int grad_ld;
  bool grad_written = false;
  bool read = false, read_alone = false;
  Arena* arena;
};

class Tensor {
 public:
  Tensor() = default;
  explicit Tensor(TensorData* data) : t_(data) {}

  kernels::Rows rows() const { return t_->rows; }
  int capacity() const { return t_->rows.capacity; }
  int cols() const { return t_->cols; }
  DType dtype() const { return t_->dtype; }
  const char* name() const { return t_->name; }

  template <class T>
  T* data() const {
    return static_cast<T*>(t_->data);
  }
  template <class T>
  T* grad() const {
    return static_cast<T*>(grad_memory());
  }
  // Forward calls one of these per tensor an op reads. read_alone(): the op overwrites the tensor, or only
  // stores ("=") its gradient. Another reader of such a tensor, before or after, throws
  // std::invalid_argument.
  void read(const char* op) const;
  void read_alone(const char* op) const;

  bool accumulate() const { return std::exchange(t_->grad_written, true); }
  bool has_grad() const { return t_->grad_written; }

  Matrix matrix() const { return {t_->data, t_->dtype, t_->rows.capacity, t_->cols, t_->ld}; }
  Matrix grad_matrix() const {
    return {grad_memory(), t_->grad_dtype, t_->rows.capacity, t_->cols, t_->grad_ld};
  }

  // Gradient in other memory: cross-entropy writes it over the logits.
  void set_grad(void* grad, DType dtype, int ld) const {
    t_->grad = grad, t_->grad_dtype = dtype, t_->grad_ld = ld, t_->grad_written = true;
  }

 private:
  void* grad_memory() const;
  TensorData* t_ = nullptr;
};

}  // namespace warpbert
