#include "tape.h"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>

#include "ranges.h"

namespace warpbert {

void* Tensor::grad_memory() const {
  if (!t_->grad) {
    t_->grad_dtype = t_->dtype, t_->grad_ld = t_->ld;
    t_->grad = t_->arena->allocate(size_t(t_->rows.capacity) * t_->ld * size_of(t_->dtype), "gradients");
  }
  return t_->grad;
}

static void refuse_reader(const char* op, const TensorData& t) {
  throw std::invalid_argument(
      fmt::format("{}: {} has another reader, and one of both must be the only one", op, t.name));
}
void Tensor::read(const char* op) const {
  if (t_->read_alone) refuse_reader(op, *t_);
  t_->read = true;
}
void Tensor::read_alone(const char* op) const {
  if (t_->read || t_->read_alone) refuse_reader(op, *t_);
  t_->read_alone = true;
}

Tensor Tape::tensor(const char* name, kernels::Rows rows, int cols) {
  return tensor(name, rows, cols, dtype_);
}

Tensor Tape::tensor(const char* name, kernels::Rows rows, int cols, DType dtype) {
  void* data = arena_.allocate(size_t(rows.capacity) * cols * size_of(dtype), name);
  return view(name, data, rows, cols, dtype);
}

Tensor Tape::view(const char* name, void* data, kernels::Rows rows, int cols, DType dtype) {
  if (cols < 1 || cols % 8)
    throw std::invalid_argument(fmt::format("tensor {}: {} columns; a multiple of 8 is needed", name, cols));
  TensorData& t = tensors_.emplace_back();
  t.name = name, t.rows = rows, t.cols = t.ld = t.grad_ld = cols, t.dtype = t.grad_dtype = dtype,
  t.data = data;
  t.arena = &arena_;
  return Tensor(&t);
}

void Tape::on_backward(const char* name, Tensor output, std::function<void()> step) {
  if (recording_) steps_.push_back({name, output, std::move(step)});
}

void Tape::backward() {
  if (!recording_) throw std::logic_error("backward: this tape did not record");
  for (auto step = steps_.rbegin(); step != steps_.rend(); ++step)
    if (step->output.has_grad()) {
      const Range range(step->name, Category::backward);
      step->run();
    }
  steps_.clear();
  fork();  // for the last updates
  join();
}

void Tape::use_branch(Gemm& gemm, std::function<void(Parameter&)> update) {
  branch_ = &gemm, update_ = std::move(update);
}

// Completed weights are no longer read: their data-gradient GEMMs precede this fork.
void Tape::fork() {
  if (!branch_) return;
  device_.fork();
  for (Parameter* weight : complete_) update_(*weight);
  complete_.clear();
}

void Tape::weight_gradient_done(Parameter& weight) {
  if (branch_ && update_) complete_.push_back(&weight);
}

void Tape::join() {
  finish_sums();
  if (branch_) device_.join();
}

void Tape::finish(std::initializer_list<kernels::ColumnSum> sums) {
  for (const kernels::ColumnSum& sum : sums) {
    const auto same = [&](const kernels::ColumnSum& other) { return other.out == sum.out; };
    if (sums_.size() == kernels::max_column_sums || std::any_of(sums_.begin(), sums_.end(), same))
      finish_sums();
    sums_.push_back(sum);
  }
}

void Tape::finish_sums() {
  if (sums_.empty()) return;
  if (branch_) device_.fork();  // after the first stages
  kernels::finish_column_sums(branch_ ? device_.side_stream() : stream(), sums_.data(), int(sums_.size()));
  sums_.clear();
}

kernels::Dropout Tape::dropout(float rate, uint32_t site) const {
  if (!recording_ || rate == 0) return {};
  if (!random_) throw std::logic_error("dropout: this tape has no random state");
  return {rate, site, random_};
}

}  // namespace warpbert
