// One GPU, or the SIMT simulator on CPU cores, chosen at build time.
#pragma once
#include <cstddef>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "algorithm_cache.h"
#include "kernels/kernels.h"
#include "staging.h"

namespace warpbert {

class Device {
 public:
  // Opens this process's GPU (sm_80 or later), or the simulator with `threads` workers (0: all cores). Throws
  // std::runtime_error naming the cause and a build that would work.
  explicit Device(int threads = 0);
  ~Device();
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;

  static bool is_gpu();

  kernels::Stream stream() const { return stream_; }
  // Lower priority; the exchange stream carries transfers between devices.
  kernels::Stream side_stream() const { return side_; }
  kernels::Stream exchange_stream() const { return exchange_; }
  // Work sent to `later` from now on waits for what `earlier` has been sent.
  void follow(kernels::Stream later, kernels::Stream earlier);
  void fork() { follow(side_, stream_); }
  void join() { follow(stream_, side_); }
  const std::string& name() const { return name_; }  // "NVIDIA H200, sm_90", "SIMT simulator, 2 workers"
  void synchronize();

  // 256-byte aligned. Throws std::runtime_error with the size when out of memory.
  void* allocate(size_t bytes);
  void free(void* p);

  // Stream-ordered. `host` may be reused once upload() returns. upload and download cannot be captured.
  void upload(void* device, const void* host, size_t bytes);
  void download(void* host, const void* device, size_t bytes);  // synchronizes
  void zero(void* device, size_t bytes);
  void fill(void* device, int byte, size_t bytes);

  Staging& staging() { return *staging_; }

  AlgorithmCache& algorithm_cache() { return algorithm_cache_; }

  size_t bytes_allocated() const { return bytes_; }
  size_t bytes_high_water() const { return high_water_; }

 private:
  static void* reserve(size_t bytes);  // null when out of memory
  static void release(void* p);

  kernels::Stream stream_ = nullptr, side_ = nullptr, exchange_ = nullptr;
  void* event_ = nullptr;  // for follow() on a GPU
  std::unique_ptr<Staging> staging_;
  std::string name_;
  std::vector<std::pair<void*, size_t>> blocks_;
  size_t bytes_ = 0, high_water_ = 0;
  AlgorithmCache algorithm_cache_;
};

template <class T>
class DeviceArray {
 public:
  DeviceArray() = default;
  DeviceArray(Device& device, size_t n) : device_(&device), n_(n) {
    if (n) data_ = static_cast<T*>(device.allocate(n * sizeof(T)));
  }
  DeviceArray(Device& device, const std::vector<T>& values) : DeviceArray(device, values.size()) {
    upload(values);
  }
  DeviceArray(DeviceArray&& other) noexcept { swap(other); }
  DeviceArray& operator=(DeviceArray&& other) noexcept {
    swap(other);
    return *this;
  }
  ~DeviceArray() {
    if (data_) device_->free(data_);
  }

  T* data() const { return data_; }
  size_t size() const { return n_; }
  void zero() { device_->zero(data_, n_ * sizeof(T)); }
  void upload(const std::vector<T>& values) {
    device_->upload(data_, values.data(), values.size() * sizeof(T));
  }
  std::vector<T> download() const {
    std::vector<T> values(n_);
    device_->download(values.data(), data_, n_ * sizeof(T));
    return values;
  }

 private:
  void swap(DeviceArray& other) {
    std::swap(device_, other.device_), std::swap(data_, other.data_), std::swap(n_, other.n_);
  }
  Device* device_ = nullptr;
  T* data_ = nullptr;
  size_t n_ = 0;
};

}  // namespace warpbert
