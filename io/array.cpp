#include "array.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <functional>
#include <numeric>
#include <utility>

#include "error.h"
#include "file_kind.h"
#include "npz.h"
#include "safetensors.h"
#include "text.h"

namespace warpbert::io {

static_assert(std::endian::native == std::endian::little,
              "files hold little-endian values; they are copied as they are");

std::string_view name_of(DType dtype) {
  constexpr std::string_view names[] = {"float16", "bfloat16", "float32", "float64", "int8",
                                        "int16",   "int32",    "int64",   "uint8",   "uint16",
                                        "uint32",  "uint64",   "bool"};
  return names[size_t(dtype)];
}

size_t bytes_of(DType dtype) {
  constexpr size_t bytes[] = {2, 2, 4, 8, 1, 2, 4, 8, 1, 2, 4, 8, 1};
  return bytes[size_t(dtype)];
}

std::string shape_text(std::span<const int64_t> shape) { return fmt::format("[{}]", fmt::join(shape, ", ")); }

int64_t ArrayInfo::size() const {
  return std::accumulate(shape.begin(), shape.end(), int64_t(1), std::multiplies<int64_t>());
}

const ArrayInfo* Archive::find(std::string_view name) const {
  const auto found =
      std::find_if(arrays_.begin(), arrays_.end(), [&](const ArrayInfo& a) { return a.name == name; });
  return found == arrays_.end() ? nullptr : &*found;
}

const ArrayInfo& Archive::at(std::string_view name) const {
  if (const ArrayInfo* info = find(name)) return *info;
  std::vector<std::string> names;
  for (const ArrayInfo& info : arrays_) names.push_back(info.name);
  const std::string near = nearest(name, names);
  fail("{}: has no array '{}'{}", path_, name,
       near.empty() ? "" : fmt::format(" (the nearest name is '{}')", near));
}

void Archive::verify() {
  if (checked_) return;
  std::vector<std::byte> bytes;
  for (size_t i = 0; i < arrays_.size(); i++) {
    bytes.resize(size_t(arrays_[i].size()) * bytes_of(arrays_[i].dtype));
    read(i, bytes);
  }
}

std::vector<std::byte> Archive::raw(std::string_view name) {
  const ArrayInfo& info = at(name);
  std::vector<std::byte> bytes(size_t(info.size()) * bytes_of(info.dtype));
  read(size_t(&info - arrays_.data()), bytes);
  return bytes;
}

static float half_to_float(uint16_t half) {
  const uint32_t sign = uint32_t(half & 0x8000) << 16, exponent = half >> 10 & 0x1f, fraction = half & 0x3ff;
  if (exponent == 0) return std::copysign(std::ldexp(float(fraction), -24), sign ? -1.f : 1.f);
  const uint32_t widened = exponent == 31 ? 255 : exponent + 127 - 15;
  return std::bit_cast<float>(sign | widened << 23 | fraction << 13);
}

// Calls visit(i, value); value: double for float64, float for narrower floats, else the integer.
template <class Visit>
static void for_each_value(DType dtype, std::span<const std::byte> bytes, Visit visit) {
  const auto walk = [&]<class Stored>(Stored, auto convert) {
    for (size_t i = 0; i < bytes.size() / sizeof(Stored); i++) {
      Stored value;
      std::memcpy(&value, bytes.data() + i * sizeof value, sizeof value);
      visit(i, convert(value));
    }
  };
  const auto itself = [](auto value) { return value; };
  switch (dtype) {
    case DType::f16:
      return walk(uint16_t(), half_to_float);
    case DType::bf16:
      return walk(uint16_t(), [](uint16_t v) { return std::bit_cast<float>(uint32_t(v) << 16); });
    case DType::f32:
      return walk(float(), itself);
    case DType::f64:
      return walk(double(), itself);
    case DType::i8:
      return walk(int8_t(), itself);
    case DType::i16:
      return walk(int16_t(), itself);
    case DType::i32:
      return walk(int32_t(), itself);
    case DType::i64:
      return walk(int64_t(), itself);
    case DType::u8:
    case DType::boolean:
      return walk(uint8_t(), itself);
    case DType::u16:
      return walk(uint16_t(), itself);
    case DType::u32:
      return walk(uint32_t(), itself);
    case DType::u64:
      return walk(uint64_t(), itself);
  }
}

template <class T>
static constexpr DType dtype_of = std::is_same_v<T, float>     ? DType::f32
                                  : std::is_same_v<T, int32_t> ? DType::i32
                                  : std::is_same_v<T, int64_t> ? DType::i64
                                                               : DType::u8;

template <class T>
std::vector<T> Archive::load(std::string_view name) {
  const ArrayInfo& info = at(name);
  std::vector<T> values(size_t(info.size()));
  if (info.dtype == dtype_of<T>) {
    read(size_t(&info - arrays_.data()), std::as_writable_bytes(std::span(values)));
    return values;
  }

  if (std::is_integral_v<T> && is_float(info.dtype))
    fail("{}: array '{}' holds {}, expected integers", path_, name, name_of(info.dtype));
  const auto unfit = [&](size_t i, auto value) {
    fail("{}: array '{}': value {} at index {} does not fit {}", path_, name, value, i, name_of(dtype_of<T>));
  };
  for_each_value(info.dtype, raw(name), [&](size_t i, auto value) {
    if constexpr (std::is_integral_v<T> && std::is_integral_v<decltype(value)>) {
      if (!std::in_range<T>(value)) unfit(i, value);
    } else if constexpr (std::is_same_v<decltype(value), double>) {
      if (std::isfinite(value) && !std::isfinite(float(value))) unfit(i, value);
    }
    values[i] = T(value);
  });
  return values;
}

template <class T>
ArrayView view(std::string name, std::vector<int64_t> shape, std::span<const T> values) {
  ArrayView array{std::move(name), dtype_of<T>, std::move(shape), values.data()};
  const int64_t size = ArrayInfo{array.name, array.dtype, array.shape}.size();
  if (size != int64_t(values.size()))
    fail("array '{}' of shape {} needs {} values, got {}", array.name, shape_text(array.shape), size,
         values.size());
  return array;
}

template std::vector<float> Archive::load(std::string_view);
template std::vector<int32_t> Archive::load(std::string_view);
template std::vector<int64_t> Archive::load(std::string_view);
template std::vector<uint8_t> Archive::load(std::string_view);
template ArrayView view(std::string, std::vector<int64_t>, std::span<const float>);
template ArrayView view(std::string, std::vector<int64_t>, std::span<const int32_t>);
template ArrayView view(std::string, std::vector<int64_t>, std::span<const int64_t>);
template ArrayView view(std::string, std::vector<int64_t>, std::span<const uint8_t>);

std::unique_ptr<Archive> open_archive(const std::string& path) {
  const std::string start = read_file(path, file_kind_bytes);
  if (start.size() > 8 && start[8] == '{' && !start[7]) return open_safetensors(path);  // [7]: of the length
  if (start.starts_with('{'))
    if (auto shards = open_sharded(path)) return shards;
  const std::string kind = foreign_kind(start);
  if (kind == zip_archive) return open_npz(path);
  if (!kind.empty()) fail("{}: is {}", path, kind);
  fail("{}: is neither an .npz nor a .safetensors file; convert other formats to one of them", path);
}

}  // namespace warpbert::io
