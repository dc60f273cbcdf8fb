// A tensor is a handle on a matrix of activations [rows, cols] that the tape's arena owns;
// copying it copies the handle.
//
// Its gradient gets memory when backward first asks for it. Whoever comes first in a backward pass writes it ("="), all
// later ones add to it ("+="): accumulate() tells which. An op asks exactly once per gradient it writes.
#pragma once
#include <utility>

#include "arena.h"
#include "dtype.h"
#include "gemm.h"

namespace warpbert {

struct TensorData {
  const char* name;
  kernels::Rows rows;
  int cols, ld;  // ld: distance of two rows in elements
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
  // Every op says in forward which tensors it reads. An op that overwrites one, or whose kernel only writes its gradient,
  // is its only reader: std::invalid_argument if there was another before, and when there comes one.
  void read(const char* op) const;
  void read_alone(const char* op) const;

  bool accumulate() const { return std::exchange(t_->grad_written, true); }
  bool has_grad() const { return t_->grad_written; }

  Matrix matrix() const { return {t_->data, t_->dtype, t_->rows.capacity, t_->cols, t_->ld}; }
  Matrix grad_matrix() const { return {grad_memory(), t_->grad_dtype, t_->rows.capacity, t_->cols, t_->grad_ld}; }

  // The gradient stands in memory of its own kind (cross-entropy writes it over the logits).
  void set_grad(void* grad, DType dtype, int ld) const {
    t_->grad = grad, t_->grad_dtype = dtype, t_->grad_ld = ld, t_->grad_written = true;
  }

 private:
  void* grad_memory() const;
  TensorData* t_ = nullptr;
};

}  // namespace warpbert
