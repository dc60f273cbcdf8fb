#include "parameters.h"

#include <fmt/format.h>

#include <stdexcept>

namespace warpbert {

Parameter& ParameterStore::add(ParameterKind kind, int rows, int cols, std::vector<Piece> pieces) {
  if (rows < 1 || cols < 1)
    throw std::invalid_argument(
        fmt::format("parameter {}: [{}, {}] is no shape", pieces[0].name, rows, cols));
  Parameter& p = parameters_.emplace_back();
  p.pieces = std::move(pieces), p.kind = kind, p.rows = rows, p.cols = cols;
  p.size = size_t(rows) * cols;
  p.index = parameters_.size() - 1;
  return p;
}

void ParameterStore::allocate(Device& device, Precision precision, bool trainable) {
  device_ = &device;
  size_ = 0;
  for (ParameterKind kind : {ParameterKind::matrix, ParameterKind::vector, ParameterKind::embedding}) {
    if (kind == ParameterKind::vector) vectors_.first = size_;
    if (kind == ParameterKind::embedding) vectors_.second = size_;
    for (Parameter& p : parameters_)
      if (p.kind == kind) p.offset = size_, size_ += p.padded_size();
  }
  master_weights_ = DeviceArray<float>(device, size_);
  master_weights_.zero();
  if (precision == Precision::bf16) rounded_ = DeviceArray<bf16>(device, size_);
  if (trainable) {
    for (auto* buffer : {&grads_, &m_, &v_}) *buffer = DeviceArray<float>(device, size_), buffer->zero();
  }
  for (Parameter& p : parameters_) {
    const bool rounded = precision == Precision::bf16 && p.kind != ParameterKind::vector;
    p.master = master_weights_.data() + p.offset;
    p.dtype = rounded ? DType::bf16 : DType::f32;
    p.value = rounded ? static_cast<void*>(rounded_.data() + p.offset) : p.master;
    p.grad = trainable ? grads_.data() + p.offset : nullptr;
  }
  round_weights();
}

void ParameterStore::round_weights() {
  if (rounded_.size()) kernels::cast(device_->stream(), rounded_.data(), master_weights_.data(), size_);
}

void ParameterStore::start_step() {
  for (Parameter& p : parameters_) p.grad_written = false;
}

void ParameterStore::continue_step() {
  for (Parameter& p : parameters_) p.grad_written = true;
}

void ParameterStore::keep_ema() {
  ema_weights_ = DeviceArray<float>(*device_, size_);
  ema_weights_.upload(master_weights_.download());
}

void ParameterStore::swap_ema() {
  kernels::swap(device_->stream(), master_weights_.data(), ema_weights_.data(), size_);
  round_weights();
}

void ParameterStore::finish_backward() {
  for (Parameter& p : parameters_)
    if (!std::exchange(p.grad_written, true)) device_->zero(p.grad, p.size * sizeof(float));
}

size_t ParameterStore::real_size() const {
  size_t n = 0;
  for (const Named& array : named()) n += array.size;
  return n;
}

std::vector<ParameterStore::Named> ParameterStore::named() const {
  std::vector<Named> all;
  for (const Parameter& p : parameters_)
    for (const Piece& piece : p.pieces)
      all.push_back({piece.name,
                     p.kind == ParameterKind::vector ? std::vector<int>{piece.rows}
                                                     : std::vector<int>{piece.rows, p.cols},
                     p.offset + size_t(piece.first) * p.cols, size_t(piece.rows) * p.cols});
  return all;
}

std::vector<float> ParameterStore::download(const float* buffer, const Named& array) const {
  std::vector<float> values(array.size);
  device_->download(values.data(), buffer + array.offset, array.size * sizeof(float));
  return values;
}

void ParameterStore::upload(float* buffer, const Named& array, const std::vector<float>& values) {
  if (values.size() != array.size)
    throw std::invalid_argument(fmt::format("{}: {} values for {}", array.name, values.size(), array.size));
  device_->upload(buffer + array.offset, values.data(), array.size * sizeof(float));
}

}  // namespace warpbert
