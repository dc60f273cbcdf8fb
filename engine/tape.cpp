#include "tape.h"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>

#include "ranges.h"

namespace warpbert {

View Tensor::grad() const {
  View& grad = t_->grad;
  if (!grad.data) {
    grad = t_->value;
    grad.data = t_->arena->allocate(size_t(grad.rows.capacity) * grad.ld * size_of(grad.dtype), "gradients");
  }
  return grad;
}

View Tensor::overwrite_grad() const {
  const GradView grad = write_grad();
  if (grad.mode == Grad::accumulate)
    throw std::logic_error(fmt::format("{} is read alone, and has a gradient already", t_->name));
  return grad.view;
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

static void check_columns(const char* name, int cols) {
  if (cols < 1 || cols % 8)
    throw std::invalid_argument(fmt::format("tensor {}: {} columns; a multiple of 8 is needed", name, cols));
}

Tensor Tape::tensor(const char* name, kernels::Rows rows, int cols, DType dtype) {
  check_columns(name, cols);
  void* data = arena_.allocate(size_t(rows.capacity) * cols * size_of(dtype), name);
  return input(name, {data, dtype, rows, cols, cols});
}

Tensor Tape::input(const char* name, const View& x) {
  check_columns(name, x.cols);
  TensorData& t = tensors_.emplace_back();
  t.name = name, t.value = x, t.arena = &arena_;
  return Tensor(&t);
}

void Tape::on_backward(const char* name, Tensor output, std::function<void()> closure) {
  if (recording_) closures_.push_back({name, output, std::move(closure)});
}

void Tape::backward() {
  if (!recording_) throw std::logic_error("backward: this tape did not record");
  for (auto closure = closures_.rbegin(); closure != closures_.rend(); ++closure)
    if (closure->output.has_grad()) {
      const Range range(closure->name, Category::backward);
      closure->run();
    }
  closures_.clear();
  fork();  // for the last updates
  join();
}

void Tape::use_side_stream(Gemm& gemm, std::function<void(Parameter&)> update) {
  side_gemm_ = &gemm, update_ = std::move(update);
}

// Completed weights are no longer read: their data-gradient GEMMs precede this fork.
void Tape::fork() {
  if (!side_gemm_) return;
  device_.fork(), forked_ = true;
  for (Parameter* weight : complete_) update_(*weight);
  complete_.clear();
}

void Tape::join() {
  reduce_queued();
  if (forked_) device_.join();
  forked_ = false;
}

View Tape::additive_grad(Parameter& p) {
  join();  // the side stream may have written it
  const GradView grad = p.write_grad();
  if (grad.mode == Grad::overwrite) device_.zero(p.grad, p.size * sizeof(float));
  return grad.view;
}

Partials Tape::partials(int blocks, int parts, int cols) {
  return {floats("partial sums", size_t(blocks) * parts * cols), blocks, parts, cols};
}

void Tape::reduce(const Partials& partials, std::initializer_list<Parameter*> vectors) {
  const float* part = partials.data;
  for (Parameter* vector : vectors) {
    reduce({vector->grad, vector->write_grad().mode, part, partials.blocks, partials.parts * partials.cols,
            partials.cols});
    part += partials.cols;
  }
}

void Tape::reduce(const kernels::Reduction& reduction) {
  const auto same = [&](const kernels::Reduction& other) { return other.out == reduction.out; };
  if (reductions_.size() == kernels::max_reductions ||
      std::any_of(reductions_.begin(), reductions_.end(), same))
    reduce_queued();
  reductions_.push_back(reduction);
}

void Tape::reduce_queued() {
  if (reductions_.empty()) return;
  if (side_gemm_) device_.fork(), forked_ = true;  // after the first stages
  kernels::reduce_partials(side_gemm_ ? device_.side_stream() : stream(), reductions_.data(),
                           int(reductions_.size()));
  reductions_.clear();
}

kernels::Dropout Tape::dropout(float rate, uint32_t site) const {
  if (!recording_ || rate == 0) return {};
  if (!random_) throw std::logic_error("dropout: this tape has no random state");
  return {rate, site, random_};
}

}  // namespace warpbert
