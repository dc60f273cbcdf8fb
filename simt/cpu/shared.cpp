// Shared memory, and asynchronous copies into it.
//
// One arena per OS thread holds a block's shared variables, 128 bytes apart. AddressSanitizer poisons the
// gaps.
#include <sys/mman.h>

#include <cstring>

#include "block.h"
#include "memory.h"
#include "observer.h"

namespace simt {

constexpr size_t alignment = 128, gap = 128;
constexpr size_t max_variables = 256;
constexpr size_t arena_bytes = max_static_shared + max_shared + max_variables * (alignment + gap);

SharedMemory::~SharedMemory() {
  if (arena_) munmap(arena_, arena_bytes);
}

void SharedMemory::clear() {
#if SIMT_TSAN
  if (arena_ && !pieces_.empty())
    munmap(arena_, arena_bytes), arena_ = nullptr;  // drops TSan's history of the last block
#endif
  if (!arena_) {
    arena_ = map_memory(arena_bytes, "the simulator", max_stack_bytes);
#if SIMT_ASAN
    ASAN_POISON_MEMORY_REGION(arena_, arena_bytes);
#endif
  }
#if SIMT_ASAN
  if (used_) ASAN_POISON_MEMORY_REGION(arena_, used_);
#endif
  used_ = static_bytes_ = 0;
  pieces_.clear();
}

void* SharedMemory::find(const void* key, size_t bytes, bool dynamic, const char* file, int line) {
  for (const Piece& p : pieces_)
    if (p.key == key) return p.memory;
  if (!dynamic) static_bytes_ += bytes;
  if (static_bytes_ > max_static_shared)
    fail("too much shared memory at %s:%d: %zu bytes of static variables, a block has %zu", file, line,
         static_bytes_, max_static_shared);
  if (static_bytes_ + block->grid->dynamic_bytes > max_shared)
    fail(
        "too much shared memory at %s:%d: %zu bytes of static variables and %zu dynamic ones, a block has "
        "%zu",
        file, line, static_bytes_, block->grid->dynamic_bytes, max_shared);
  if (pieces_.size() == max_variables)
    fail("more than %zu shared variables at %s:%d", max_variables, file, line);
  char* memory = arena_ + used_;
  used_ += (bytes + alignment - 1) / alignment * alignment + gap;
#if SIMT_ASAN
  ASAN_UNPOISON_MEMORY_REGION(memory, bytes);
#endif
  std::memset(memory, 0xff, bytes);
  pieces_.push_back({key, memory});
  if (block_observer) block_observer->shared_variable(memory, bytes, file, line);
  return memory;
}

void* static_storage(const void* key, size_t bytes, const char* file, int line) {
  Untracked u;
  return block->shared.find(key, bytes, false, file, line);
}
void* dynamic_storage(const char* file, int line) {
  Untracked u;
  return block->shared.find(&block->shared, block->grid->dynamic_bytes, true, file, line);
}

// ---- cp.async: queued until the thread waits for its group -------------------------------------
void cp_async(void* to, const void* from, const char* file, int line) {
  if ((uintptr_t(to) | uintptr_t(from)) & 15)
    fail("cp_async16 at %s:%d: an address is no multiple of 16", file, line);
  Untracked u;
  Copies& mine = block->copies[current];
  Copy copy{static_cast<char*>(to), static_cast<const char*>(from), mine.open_group, 1};
  Copy* last = mine.pending.empty() ? nullptr : &mine.pending.back();
  if (last && last->group == copy.group && last->to + 16 * last->count == copy.to &&
      last->from + 16 * last->count == copy.from)
    last->count++;
  else mine.pending.push_back(copy);
  block->copies_pending = true;
  if (block_observer) block_observer->async_copy(to, from);
}
void cp_async_commit() {
  block->copies[current].open_group++;
  if (block_observer) block_observer->async_commit();
}
std::span<const Copy> cp_async_ready(int pending) {
  Untracked u;
  Copies& mine = block->copies[current];
  const size_t first = mine.done;
  while (mine.done < mine.pending.size() && mine.pending[mine.done].group < mine.open_group - pending)
    mine.done++;
  if (first < mine.done) return {&mine.pending[first], mine.done - first};
  if (mine.done == mine.pending.size()) mine.pending.clear(), mine.done = 0;
  if (block_observer) block_observer->async_waited(pending);
  return {};
}

}  // namespace simt
