#include "engine/device.h"

#include <fmt/format.h>

#include <cstring>
#include <memory>
#include <new>

#include "host_copy.h"
#include "simt/cpu/pool.h"
#include "simt/cpu/stream.h"

namespace warpbert {

bool Device::is_gpu() { return false; }

Device::Device(int threads) {
  if (threads > 0) simt::set_workers(threads);
  stream_ = new CUstream_st, side_ = new CUstream_st, exchange_ = new CUstream_st;
  staging_ = std::make_unique<Staging>(stream_copier(stream_));
  name_ = fmt::format("SIMT simulator, {} worker{}", simt::workers(), simt::workers() == 1 ? "" : "s");
}

Device::~Device() {
  staging_.reset();
  delete stream_;
  delete side_;
  delete exchange_;
}
void Device::follow(kernels::Stream later, kernels::Stream earlier) { simt::wait(*later, *earlier); }
void Device::synchronize() {}

void* Device::reserve(size_t bytes) { return ::operator new(bytes, std::align_val_t(256), std::nothrow); }
void Device::release(void* p) { ::operator delete(p, std::align_val_t(256)); }

void Device::upload(void* device, const void* host, size_t bytes) {
  copy_outside_of_graphs(stream_, device, host, bytes);
}
void Device::download(void* host, const void* device, size_t bytes) {
  copy_outside_of_graphs(stream_, host, device, bytes);
}
void Device::fill(void* device, int byte, size_t bytes) {
  if (bytes) simt::enqueue(stream_, [=] { std::memset(device, byte, bytes); });
}

}  // namespace warpbert
