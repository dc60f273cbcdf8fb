// Named arrays in files.
#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace warpbert::io {

enum class DType { f16, bf16, f32, f64, i8, i16, i32, i64, u8, u16, u32, u64, boolean };

std::string_view name_of(DType dtype);  // "float32", …
size_t bytes_of(DType dtype);
constexpr bool is_float(DType dtype) { return dtype <= DType::f64; }

// "[768, 3072]", and "[]" for a scalar.
std::string shape_text(std::span<const int64_t> shape);

struct ArrayInfo {
  std::string name;
  DType dtype;
  std::vector<int64_t> shape;  // empty: a scalar
  int64_t size() const;
};

// Opening checks the directory, all headers, and sizes against shapes; values are read on demand, in C order.
class Archive {
 public:
  virtual ~Archive() = default;
  const std::string& path() const { return path_; }
  const std::vector<ArrayInfo>& arrays() const { return arrays_; }  // in the file's order
  const ArrayInfo* find(std::string_view name) const;               // null if there is none
  const ArrayInfo& at(std::string_view name) const;                 // throws Error: file and nearest name

  // T: float, int32_t, int64_t or uint8_t. Float accepts any dtype, rounded to nearest; integers accept
  // integers only. Throws Error if a value does not fit.
  template <class T>
  std::vector<T> load(std::string_view name);
  std::vector<std::byte> raw(std::string_view name);  // C order, little-endian

  // Reads every array once to find damage (CRC, truncation), unless opening has verified the checksum.
  void verify();

 protected:
  explicit Archive(std::string path) : path_(std::move(path)) {}
  virtual void read(size_t index, std::span<std::byte> bytes) = 0;  // as raw()

  std::string path_;
  std::vector<ArrayInfo> arrays_;
  bool checked_ = false;  // the checksum is right
};

// Opens .npz, .safetensors, or the .index.json of several .safetensors, recognised by content. Throws Error
// naming any other kind of file (file_kind.h).
std::unique_ptr<Archive> open_archive(const std::string& path);

// Array to write; the caller owns the values.
struct ArrayView {
  std::string name;
  DType dtype;
  std::vector<int64_t> shape;
  const void* data;
};

// T as above. Throws Error unless the shape holds exactly values.size() elements.
template <class T>
ArrayView view(std::string name, std::vector<int64_t> shape, std::span<const T> values);
template <class T>
ArrayView view(std::string name, std::vector<int64_t> shape, const std::vector<T>& values) {
  return view(std::move(name), std::move(shape), std::span<const T>(values));
}

}  // namespace warpbert::io
