#include <cstring>
#include <utility>

#include "instructions.h"
#include "simt/cpu/access_counts.h"

namespace ptx {
namespace {

enum class Space { global, constant, shared, parameter };  // constant: ld.global.nc, read-only

uint64_t address(Warp& w, const Instruction& i, Space space, int lane) {
  const uint64_t a = w.row(i.from[0])[lane] + uint64_t(i.offset);
  return space == Space::shared ? uint32_t(a) : a;
}
char* checked(Warp& w, const Instruction& i, Space space, int lane) {
  const uint64_t a = address(w, i, space, lane);
  return space == Space::shared ? w.block.shared(a, i.bytes * i.pieces, lane)
                                : w.block.global(a, i.bytes * i.pieces, lane);
}

void note_extent(Warp& w, const Instruction& i, Space space, int lane) {
  const uint64_t a = address(w, i, space, lane);
  w.block.extents[size_t(&i - w.block.kernel.code.data())].add({a, a + uint64_t(i.bytes * i.pieces)});
}

void count_access(Warp& w, const Instruction& i, Space space, Mask mask) {
  if (!w.block.counting || space == Space::parameter || !mask) return;
  simt::LaneAddresses addresses;
  each(mask, [&](int l) { addresses[size_t(l)] = address(w, i, space, l); });
  const bool shared = space == Space::shared;
  const auto [used, least] =
      (shared ? simt::count_passes : simt::count_sectors)(addresses, i.bytes * i.pieces);
  auto& totals = w.block.counts.totals;
  totals[shared ? Counts::shared_requests : Counts::global_requests]++;
  totals[shared ? Counts::shared_passes : Counts::global_sectors] += used;
  totals[shared ? Counts::shared_least : Counts::global_least] += least;
}

template <Space space, class T>
void load(Warp& w, const Instruction& i, Mask mask) {
  count_access(w, i, space, mask);
  each(mask, [&](int l) {
    const char* const from =
        space == Space::parameter ? w.block.parameters + address(w, i, space, l) : checked(w, i, space, l);
    if (space == Space::constant) note_extent(w, i, space, l);
    for (int k = 0; k < i.pieces; k++) {
      T value;
      std::memcpy(&value, from + k * int(sizeof(T)), sizeof(T));
      // Signed bytes are sign-extended, for reads as a wider type.
      w.row(i.to[size_t(k)])[l] = std::is_signed_v<T> && sizeof(T) < 4 ? put(int32_t(value)) : put(value);
    }
  });
}
template <Space space, class T>
void store(Warp& w, const Instruction& i, Mask mask) {
  count_access(w, i, space, mask);
  each(mask, [&](int l) {
    char* const to = checked(w, i, space, l);
    if (space == Space::global) note_extent(w, i, space, l);
    for (int k = 0; k < i.pieces; k++) {
      const T value = get<T>(w.row(i.from[size_t(1 + k)])[l]);
      std::memcpy(to + k * int(sizeof(T)), &value, sizeof(T));
    }
  });
}

template <class T>
void memory_of(Table& t, const std::string& type) {
  for (const auto& [infix, pieces] : {std::pair{".", 1}, {".v2.", 2}, {".v4.", 4}}) {
    const std::string end = infix + type;
    const int bytes = int(sizeof(T));
    t["ld.param" + end] = {load<Space::parameter, T>, Rendezvous::none, Unit::none, bytes, pieces};
    t["ld.global" + end] = {load<Space::global, T>, Rendezvous::none, Unit::global, bytes, pieces};
    t["ld.global.nc" + end] = {load<Space::constant, T>, Rendezvous::none, Unit::global, bytes, pieces};
    t["ld.shared" + end] = {load<Space::shared, T>, Rendezvous::none, Unit::shared, bytes, pieces};
    t["st.global" + end] = {store<Space::global, T>, Rendezvous::none, Unit::global, bytes, pieces};
    t["st.shared" + end] = {store<Space::shared, T>, Rendezvous::none, Unit::shared, bytes, pieces};
  }
}

void atomic_add(Warp& w, const Instruction& i, Mask mask) {
  each(mask, [&](int l) {
    auto* const cell = reinterpret_cast<uint32_t*>(checked(w, i, Space::global, l));
    w.row(i.to[0])[l] = __atomic_fetch_add(cell, uint32_t(w.row(i.from[1])[l]), __ATOMIC_SEQ_CST);
  });
}

// An atomic without a result: nvcc 12 emits red where nvcc 13 emits atom.
void atomic_add_only(Warp& w, const Instruction& i, Mask mask) {
  each(mask, [&](int l) {
    auto* const cell = reinterpret_cast<uint32_t*>(checked(w, i, Space::global, l));
    __atomic_fetch_add(cell, uint32_t(w.row(i.from[1])[l]), __ATOMIC_SEQ_CST);
  });
}

// cp.async copies when the lane waits for its group; until then the target holds NaNs.
void copy_later(Warp& w, const Instruction& i, Mask mask) {
  each(mask, [&](int l) {
    const auto to = unsigned(uint32_t(w.row(i.from[0])[l]) + uint32_t(i.offset));
    std::memset(w.block.shared(to, i.bytes, l), 0xff, size_t(i.bytes));
    w.copies[l].open.push_back(
        {to, w.block.global(w.row(i.from[1])[l] + uint64_t(i.second_offset), i.bytes, l), i.bytes});
  });
  if (!w.block.counting) return;
  count_access(w, i, Space::shared, mask);
  Instruction from = i;
  from.from = {i.from[1]}, from.offset = i.second_offset;
  count_access(w, from, Space::global, mask);
}
void close_group(Warp& w, const Instruction&, Mask mask) {
  each(mask,
       [&](int l) { w.copies[l].groups.push_back(std::move(w.copies[l].open)), w.copies[l].open.clear(); });
}
void wait_for_groups(Warp& w, const Instruction& i, Mask mask) {
  each(mask, [&](int l) {
    auto& groups = w.copies[l].groups;
    for (const uint64_t may_wait = w.row(i.from[0])[l]; groups.size() > may_wait;
         groups.erase(groups.begin()))
      for (const auto& copy : groups.front())
        std::memcpy(w.block.shared(copy.to, copy.bytes, l), copy.from, size_t(copy.bytes));
  });
}

// ldmatrix: from each matrix, lane l receives elements 2(l % 4) and 2(l % 4) + 1 of row l / 4; transposed, of
// column l / 4.
template <bool Transposed>
void load_matrices(Warp& w, const Instruction& i, Mask mask) {
  uint16_t m[4][8][8];
  each(mask, [&](int l) { std::memcpy(m[l / 8][l % 8], checked(w, i, Space::shared, l), 16); });
  count_access(w, i, Space::shared, mask);
  each(mask, [&](int l) {
    const int major = l / 4, minor = 2 * (l % 4);
    for (int k = 0; k < 4; k++) {
      const uint32_t low = Transposed ? m[k][minor][major] : m[k][major][minor];
      const uint32_t high = Transposed ? m[k][minor + 1][major] : m[k][major][minor + 1];
      w.row(i.to[size_t(k)])[l] = high << 16 | low;
    }
  });
}

}  // namespace

void add_memory(Table& t) {
  memory_of<int8_t>(t, "s8"), memory_of<uint8_t>(t, "u8"), memory_of<uint8_t>(t, "b8");
  for (const char* type : {"u16", "b16"}) memory_of<uint16_t>(t, type);
  for (const char* type : {"u32", "s32", "b32", "f32"}) memory_of<uint32_t>(t, type);
  for (const char* type : {"u64", "s64", "b64", "f64"}) memory_of<uint64_t>(t, type);
  t["atom.global.add.u32"] = {atomic_add, Rendezvous::none, Unit::global, 4, 1};
  t["red.global.add.u32"] = {atomic_add_only, Rendezvous::none, Unit::global, 4, 1};
  t["cp.async.cg.shared.global"] = {copy_later, Rendezvous::none, Unit::global, 16, 1};
  add(t, "cp.async.commit_group", Unit::none, close_group);
  add(t, "cp.async.wait_group", Unit::none, wait_for_groups);
  t["ldmatrix.sync.aligned.m8n8.x4.shared.b16"] = {load_matrices<false>, Rendezvous::aligned, Unit::shared,
                                                   16, 1};
  t["ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16"] = {load_matrices<true>, Rendezvous::aligned,
                                                         Unit::shared, 16, 1};
}

}  // namespace ptx
