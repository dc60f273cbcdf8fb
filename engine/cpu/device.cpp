#include "engine/device.h"

#include <fmt/format.h>
#include <sys/mman.h>

#include <cstdlib>
#include <cstring>
#include <memory>

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

// Large arrays get huge pages: with pages of 4 KiB, GEMMs take a tenth longer.
void* Device::reserve(size_t bytes) {
  constexpr size_t huge = size_t(2) << 20;
  const size_t alignment = bytes >= 4 * huge ? huge : 256;
  void* p;
  if (posix_memalign(&p, alignment, bytes)) return nullptr;
  if (alignment == huge) (void)madvise(p, bytes / huge * huge, MADV_HUGEPAGE);  // may be switched off
  return p;
}
void Device::release(void* p) { std::free(p); }

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
