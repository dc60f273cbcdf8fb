// Fake CUDA runtime: device and host memory, copies.
#include <sys/mman.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "runtime.h"

using namespace runtime;

namespace {

using Blocks = std::map<const char*, size_t>;  // bytes by address

Blocks::const_iterator block_with(const Blocks& blocks, const void* p) {
  const auto* const address = static_cast<const char*>(p);
  const auto after = blocks.upper_bound(address);
  if (after == blocks.begin()) return blocks.end();
  const auto block = std::prev(after);
  return address < block->first + block->second ? block : blocks.end();
}
bool holds(const Blocks& blocks, const void* p, size_t bytes) {
  if (!bytes) return true;
  const auto block = block_with(blocks, p);
  return block != blocks.end() && bytes <= size_t(block->first + block->second - static_cast<const char*>(p));
}

// Device memory: one address range, handed out in pages and never reused.
class Memory {
 public:
  void* allocate(size_t bytes) {
    if (bytes >= large_page) used_ = (used_ + large_page - 1) / large_page * large_page;
    if (used_ > room || bytes > room || pages(bytes) > room - used_) return nullptr;
    char* p = base_ + used_;
    used_ += pages(bytes);
    protect(p, bytes, PROT_READ | PROT_WRITE);
    if (bytes >= large_page) madvise(p, pages(bytes), MADV_HUGEPAGE);  // fewer pages for open() and close()
    std::memset(p, 0xff, bytes);
    protect(p, bytes, PROT_NONE);
    blocks_[p] = bytes;
    return p;
  }
  bool free(void* p) {
    const auto block = blocks_.find(static_cast<char*>(p));
    if (block == blocks_.end()) return false;
    madvise(p, pages(block->second), MADV_DONTNEED);
    blocks_.erase(block);
    return true;
  }
  bool holds(const void* p, size_t bytes) const { return ::holds(blocks_, p, bytes); }
  const Blocks& blocks() const { return blocks_; }
  void open() { protect_blocks(PROT_READ | PROT_WRITE); }
  void close() { protect_blocks(PROT_NONE); }

 private:
  static constexpr size_t room = size_t(1) << 40, page = 4096, large_page = size_t(2) << 20;
  static size_t pages(size_t bytes) {
    const size_t unit = bytes >= large_page ? large_page : page;
    return (bytes + unit - 1) / unit * unit;
  }
  static void protect(char* p, size_t bytes, int protection) {
    if (mprotect(p, pages(bytes), protection)) std::perror("CUDA on the simulator: mprotect"), std::abort();
  }
  void protect_blocks(int protection) {
    for (auto block = blocks_.begin(); block != blocks_.end();) {  // one call for adjacent blocks
      char* const begin = base_ + (block->first - base_);
      const char* end = begin;
      for (; block != blocks_.end() && block->first == end; ++block) end += pages(block->second);
      protect(begin, size_t(end - begin), protection);
    }
  }
  char* base_ =
      static_cast<char*>(mmap(nullptr, room, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
  size_t used_ = 0;
  Blocks blocks_;
};
Memory memory;
Blocks pinned, managed;

cudaError_t allocate_on_host(Blocks& blocks, void** p, size_t bytes) {
  const Lock lock(mutex);
  if (const cudaError_t e = forbidden_in_capture()) return e;
  if (!(*p = std::aligned_alloc(256, (bytes + 255) / 256 * 256))) return result(cudaErrorMemoryAllocation);
  blocks[static_cast<char*>(*p)] = bytes;
  return cudaSuccess;
}

}  // namespace

runtime::OpenMemory::OpenMemory() { memory.open(); }
runtime::OpenMemory::~OpenMemory() { memory.close(); }

bool on_device(const void* p, size_t bytes) {
  const Lock lock(mutex);
  return holds(managed, p, bytes) || memory.holds(p, bytes);
}

std::pair<const char*, size_t> device_block(const void* p) {
  for (const Blocks* const blocks : {&memory.blocks(), static_cast<const Blocks*>(&managed)})
    if (const auto block = block_with(*blocks, p); block != blocks->end()) return *block;
  return {nullptr, 0};
}

extern "C" {

cudaError_t cudaMalloc(void** p, size_t bytes) {
  const Lock lock(mutex);
  if (const cudaError_t e = forbidden_in_capture()) return e;
  *p = bytes ? memory.allocate(bytes) : nullptr;
  return result(!bytes || *p ? cudaSuccess : cudaErrorMemoryAllocation);
}
cudaError_t cudaMallocManaged(void** p, size_t bytes, unsigned) {
  return allocate_on_host(managed, p, bytes);
}
cudaError_t cudaFree(void* p) {
  const Lock lock(mutex);
  if (!p) return cudaSuccess;
  if (const cudaError_t e = forbidden_in_capture()) return e;
  run_everything();
  if (managed.erase(static_cast<char*>(p))) return std::free(p), cudaSuccess;
  return result(memory.free(p) ? cudaSuccess : cudaErrorInvalidValue);
}
cudaError_t cudaHostAlloc(void** p, size_t bytes, unsigned) { return allocate_on_host(pinned, p, bytes); }
cudaError_t cudaFreeHost(void* p) {
  const Lock lock(mutex);
  if (const cudaError_t e = forbidden_in_capture()) return e;
  run_everything();
  if (!pinned.erase(static_cast<char*>(p))) return result(cudaErrorInvalidValue);
  return std::free(p), cudaSuccess;
}

cudaError_t cudaMemsetAsync(void* p, int byte, size_t bytes, cudaStream_t stream) {
  const Lock lock(mutex);
  if (const cudaError_t e = invalidated(stream)) return e;
  if (!memory.holds(p, bytes)) return result(cudaErrorInvalidValue);
  send(stream, [=] { std::memset(p, byte, bytes); });
  return cudaSuccess;
}

cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t stream) {
  const Lock lock(mutex);
  if (const cudaError_t e = invalidated(stream)) return e;
  if ((kind != cudaMemcpyDeviceToHost && !memory.holds(to, bytes)) ||
      (kind != cudaMemcpyHostToDevice && !memory.holds(from, bytes)))
    return result(cudaErrorInvalidValue);
  const void* const host = kind == cudaMemcpyHostToDevice ? from : to;
  const bool page_locked = kind != cudaMemcpyDeviceToDevice && block_with(pinned, host) != pinned.end();
  if (page_locked && !holds(pinned, host, bytes)) return result(cudaErrorInvalidValue);
  if (kind == cudaMemcpyDeviceToDevice || (page_locked && !is_captured(stream))) {
    send(stream, [=] { std::memcpy(to, from, bytes); });
    return cudaSuccess;
  }
  if (is_captured(stream)) return invalidate(cudaErrorStreamCaptureUnsupported);
  if (kind == cudaMemcpyHostToDevice) {
    const auto* begin = static_cast<const char*>(from);
    const auto copy = std::make_shared<std::vector<char>>(begin, begin + bytes);
    send(stream, [=] { std::memcpy(to, copy->data(), bytes); });
  } else {
    send(stream, [=] { std::memcpy(to, from, bytes); });
    if (stream) run_all_before(stream->after);
  }
  return cudaSuccess;
}

}  // extern "C"
