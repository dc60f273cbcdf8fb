// What is trained. All parameters lie in one flat buffer each for fp32 masters, gradients, Adam's m and v, and (bf16
// only) the rounded copy that the kernels read: zeroing, the norm, Adam and a checkpoint are one pass over one array.
//
// Order in the buffers: matrices | vectors (biases, gains; always read as fp32, never decayed) | embeddings.
#pragma once
#include <deque>
#include <string>
#include <vector>

#include "device.h"
#include "dtype.h"

namespace warpbert {

enum class ParameterKind { matrix, vector, embedding };

// Rows [first, first + rows) of a parameter under the name they have in files; one a parameter, but three for a fused
// query-key-value matrix. Rows no piece covers are padding: zero, never exported.
struct Piece {
  std::string name;
  int first, rows;
};

struct Parameter {
  std::vector<Piece> pieces;
  ParameterKind kind;
  int rows, cols;    // as stored; a vector has one column
  size_t index = 0;  // in the order of declaration
  size_t offset = 0, size = 0;
  float lr_scale = 1;  // of the learning rate; to be set before an Adam is made

  // With what fills it up to the next parameter's 256-byte boundary; that is zero, and stays so.
  size_t padded_size() const { return (size + 63) / 64 * 64; }

  float* master = nullptr;  // [rows, cols]
  void* value = nullptr;    // [rows, cols] in `dtype`: what forward and backward read; the master itself if fp32
  DType dtype = DType::f32;
  float* grad = nullptr;  // [rows, cols]
  bool grad_written = false;

  // What the next gradient is to do: "=" the first time in a step, "+=" from then on.
  bool accumulate() { return std::exchange(grad_written, true); }
  template <class T>
  T* values() const {
    return static_cast<T*>(value);
  }
  float* vector() const { return master; }
};

class ParameterStore {
 public:
  // Declares a parameter [rows, cols] (vectors: [rows, 1]); the reference stays valid.
  Parameter& add(ParameterKind kind, int rows, int cols, std::vector<Piece> pieces);
  Parameter& add(ParameterKind kind, int rows, int cols, const std::string& name) {
    return add(kind, rows, cols, {{name, 0, rows}});
  }

  // Lays everything out and allocates it, zeroed. precision bf16: matrices and embeddings get a bf16 copy.
  // trainable = false: neither gradients nor Adam's state.
  void allocate(Device& device, Precision precision, bool trainable = true);

  // After masters were changed from outside: rounds them to what the kernels read.
  void round_masters();
  void start_step();       // forgets which gradients were written
  void continue_step();    // another backward pass adds to the gradients there are
  void finish_backward();  // zeroes the gradients nobody wrote

  // The running mean of the masters, kept by Adam where it is asked for. exchange_average() puts it in the masters'
  // place, for evaluation, and the second time back.
  void keep_average();  // begins as the masters are
  void exchange_average();
  float* average() { return average_.data(); }  // null if none is kept

  Device& device() const { return *device_; }
  std::deque<Parameter>& parameters() { return parameters_; }
  const std::deque<Parameter>& parameters() const { return parameters_; }
  size_t size() const { return size_; }  // with padding
  size_t real_size() const;              // what files hold

  float* masters() { return masters_.data(); }
  bf16* rounded() { return rounded_.data(); }  // null in fp32
  float* grads() { return grads_.data(); }
  float* m() { return m_.data(); }
  float* v() { return v_.data(); }

  // Named arrays in the order of declaration: masters, or any buffer laid out like them, from and to the host.
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
  DeviceArray<float> masters_, grads_, m_, v_, average_;
  DeviceArray<bf16> rounded_;
};

}  // namespace warpbert
