// Flat buffers: fp32 master weights, gradients, Adam's m and v; in bf16 also a rounded copy that kernels
// read. Order: matrices | vectors (biases, gains; always read as fp32) | embeddings.
#pragma once
#include <deque>
#include <string>
#include <utility>
#include <vector>

#include "device.h"
#include "dtype.h"

namespace warpbert {

enum class ParameterKind { matrix, vector, embedding };

// Rows [first, first + rows), as named in files; three pieces for fused query-key-value. Other rows are
// padding: zero, never exported.
struct Piece {
  std::string name;
  int first, rows;
};

struct Parameter {
  std::vector<Piece> pieces;
  ParameterKind kind;
  int rows, cols;    // a vector has one column
  size_t index = 0;  // declaration order
  size_t offset = 0, size = 0;
  float lr_scale = 1;  // factor on the learning rate; set it before constructing Adam

  // Up to the next 256-byte boundary; the padding stays zero.
  size_t padded_size() const { return (size + 63) / 64 * 64; }

  float* master = nullptr;  // [rows, cols]
  void* value = nullptr;    // [rows, cols] in `dtype`, read by forward and backward; fp32: master
  DType dtype = DType::f32;
  float* grad = nullptr;  // [rows, cols]
  bool grad_written = false;

  View view() const { return {value, dtype, {rows}, cols, cols}; }
  // "=" the first time in a step, then "+=".
  GradView write_grad() {
    return {kernels::view(grad, {rows}, cols),
            std::exchange(grad_written, true) ? Grad::accumulate : Grad::overwrite};
  }
  const float* vector() const { return master; }
};

class ParameterStore {
 public:
  // The reference stays valid.
  Parameter& add(ParameterKind kind, int rows, int cols, std::vector<Piece> pieces);
  Parameter& add(ParameterKind kind, int rows, int cols, const std::string& name) {
    return add(kind, rows, cols, {{name, 0, rows}});
  }

  // Allocates zeroed buffers; trainable = false omits gradients and Adam's state.
  void allocate(Device& device, Precision precision, bool trainable = true);

  // Call it after changing master weights from outside.
  void round_weights();
  void start_step();       // all gradients are unwritten
  void continue_step();    // the next backward pass adds to existing gradients
  void finish_backward();  // zeroes unwritten gradients

  // Adam maintains EMA weights; evaluation swaps them with the master weights.
  void keep_ema();  // starts from the master weights
  void swap_ema();
  float* ema_weights() { return ema_weights_.data(); }  // null without EMA

  Device& device() const { return *device_; }
  std::deque<Parameter>& parameters() { return parameters_; }
  const std::deque<Parameter>& parameters() const { return parameters_; }
  size_t size() const { return size_; }                           // with padding
  size_t real_size() const;                                       // values in files
  std::pair<size_t, size_t> vectors() const { return vectors_; }  // where they begin and end, in values

  float* master_weights() { return master_weights_.data(); }
  bf16* rounded() { return rounded_.data(); }  // null in fp32
  float* grads() { return grads_.data(); }
  float* m() { return m_.data(); }
  float* v() { return v_.data(); }

  // Declaration order. `buffer` has the layout of the master weights.
  struct Named {
    std::string name;
    std::vector<int> shape;  // [rows] for vectors
    size_t offset;
    size_t size;
  };
  std::vector<Named> named() const;
  std::vector<float> download(const float* buffer, const Named& array) const;
  void upload(float* buffer, const Named& array, const std::vector<float>& values);

 private:
  Device* device_ = nullptr;
  std::deque<Parameter> parameters_;
  size_t size_ = 0;
  std::pair<size_t, size_t> vectors_;
  DeviceArray<float> master_weights_, grads_, m_, v_, ema_weights_;
  DeviceArray<bf16> rounded_;
};

}  // namespace warpbert
