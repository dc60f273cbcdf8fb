#include "npy.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <map>
#include <system_error>

#include "error.h"
#include "text.h"

namespace warpbert::io {

namespace {

// Parses {'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), } and nothing else of Python.
class DictionaryParser {
 public:
  DictionaryParser(std::string_view text, const std::string& where) : rest_(text), where_(where) {}

  NpyHeader parse() {
    NpyHeader header;
    std::map<std::string, int> seen;
    expect('{');
    while (!accept('}')) {
      const std::string key = string();
      expect(':');
      seen[key]++;
      if (key == "descr") header.descr = accept('[') ? structured() : string();
      else if (key == "fortran_order") header.fortran_order = boolean();
      else if (key == "shape") header.shape = tuple();
      else refuse();
      if (!accept(',') && !rest_.starts_with('}')) refuse();
    }
    if (seen["descr"] != 1 || seen["fortran_order"] != 1 || seen["shape"] != 1) refuse();
    return header;
  }

 private:
  [[noreturn]] void refuse() { fail("{}: its .npy header is malformed; save the file again", where_); }
  [[noreturn]] std::string structured() {
    fail("{}: has a structured dtype; save its fields as arrays of numbers", where_);
  }

  bool accept(char c) {
    rest_.remove_prefix(std::min(rest_.find_first_not_of(" \n"), rest_.size()));
    if (!rest_.starts_with(c)) return false;
    rest_.remove_prefix(1);
    rest_.remove_prefix(std::min(rest_.find_first_not_of(" \n"), rest_.size()));
    return true;
  }
  void expect(char c) {
    if (!accept(c)) refuse();
  }
  bool accept_word(std::string_view word) {
    if (!rest_.starts_with(word)) return false;
    rest_.remove_prefix(word.size());
    return true;
  }

  std::string string() {
    const char quote = rest_.empty() ? 0 : rest_[0];
    const size_t end = quote == '\'' || quote == '"' ? rest_.find(quote, 1) : rest_.npos;
    if (end == rest_.npos) refuse();
    const std::string value(rest_.substr(1, end - 1));
    rest_.remove_prefix(end + 1);
    accept(' ');
    return value;
  }

  bool boolean() {
    if (accept_word("True")) return true;
    if (!accept_word("False")) refuse();
    return false;
  }

  std::vector<int64_t> tuple() {
    std::vector<int64_t> values;
    expect('(');
    while (!accept(')')) {
      int64_t value = 0;
      const auto [stop, error] = std::from_chars(rest_.data(), rest_.data() + rest_.size(), value);
      if (error != std::errc() || value < 0) refuse();
      rest_.remove_prefix(size_t(stop - rest_.data()));
      accept_word("L");  // Python 2
      values.push_back(value);
      if (!accept(',') && !rest_.starts_with(')')) refuse();
    }
    return values;
  }

  std::string_view rest_;
  const std::string& where_;
};

struct NumpyType {
  std::string_view type;
  DType dtype;
};
constexpr NumpyType numpy_types[] = {{"f2", DType::f16}, {"f4", DType::f32}, {"f8", DType::f64},
                                     {"i1", DType::i8},  {"i2", DType::i16}, {"i4", DType::i32},
                                     {"i8", DType::i64}, {"u1", DType::u8},  {"u2", DType::u16},
                                     {"u4", DType::u32}, {"u8", DType::u64}, {"b1", DType::boolean}};

}  // namespace

NpyHeader read_npy_header(const std::function<void(void*, size_t)>& next, uint64_t total,
                          const std::string& where) {
  constexpr size_t longest = 1 << 20;
  unsigned char start[12] = {};
  if (total < 10) fail("{}: is no .npy array ({} bytes)", where, total);
  next(start, 10);
  if (std::memcmp(start, "\x93NUMPY", 6) != 0) fail("{}: is no .npy array", where);
  if (start[6] < 1 || start[6] > 3) fail("{}: .npy version {}.{} is not known", where, start[6], start[7]);
  size_t prefix = 10, length = start[8] | size_t(start[9]) << 8;
  if (start[6] > 1) {
    if (total < 12) fail("{}: is no .npy array ({} bytes)", where, total);
    next(start + 10, 2);
    prefix = 12, length |= size_t(start[10]) << 16 | size_t(start[11]) << 24;
  }
  if (length > longest || prefix + length > total)
    fail("{}: its .npy header is malformed; save the file again", where);
  std::string text(length, ' ');
  next(text.data(), length);

  NpyHeader header = DictionaryParser(text, where).parse();
  if (header.descr.empty()) fail("{}: its .npy header is malformed; save the file again", where);
  header.bytes = prefix + length;
  header.swapped = header.descr.starts_with('>');
  header.type = header.descr.substr(header.descr.find_first_not_of("<>|=") != 0);
  for (const NumpyType& known : numpy_types)
    if (known.type == header.type) header.dtype = known.dtype;
  header.item_bytes = header.dtype ? bytes_of(*header.dtype) : header.type == "V2" ? 2 : 0;
  if (!header.item_bytes) return header;  // the caller rejects it by name

  int64_t expected = int64_t(header.item_bytes);
  for (const int64_t n : header.shape)
    if (__builtin_mul_overflow(expected, n, &expected))
      fail("{}: its shape {} is absurd", where, shape_text(header.shape));
  if (uint64_t(expected) != total - header.bytes)
    fail("{}: shape {} of '{}' needs {} bytes, the file holds {}; it is damaged, save it again", where,
         shape_text(header.shape), header.descr, expected, total - header.bytes);
  return header;
}

void NpyHeader::to_native_c_order(std::span<std::byte> values) const {
  if (swapped)
    for (size_t i = 0; i < values.size(); i += item_bytes) std::reverse(&values[i], &values[i] + item_bytes);
  if (!fortran_order || shape.size() < 2) return;

  // Fortran order counts the first index fastest. Iterates in C order and tracks the offset in the file's.
  const std::vector<std::byte> stored(values.begin(), values.end());
  std::vector<size_t> index(shape.size(), 0), stride(shape.size(), item_bytes);
  for (size_t d = 1; d < shape.size(); d++) stride[d] = stride[d - 1] * size_t(shape[d - 1]);
  size_t place = 0;
  for (size_t i = 0; i < values.size(); i += item_bytes) {
    std::memcpy(&values[i], &stored[place], item_bytes);
    for (size_t d = shape.size(); d-- > 0;) {
      place += stride[d];
      if (++index[d] < size_t(shape[d])) break;
      place -= stride[d] * size_t(shape[d]), index[d] = 0;
    }
  }
}

std::string npy_header(DType dtype, std::span<const int64_t> shape) {
  const auto known =
      std::find_if(std::begin(numpy_types), std::end(numpy_types), [&](auto& t) { return t.dtype == dtype; });
  if (known == std::end(numpy_types))
    fail("{} cannot be written to .npz: NumPy has no such dtype", name_of(dtype));
  std::string dictionary = fmt::format("{{'descr': '{}{}', 'fortran_order': False, 'shape': ({}{}), }}",
                                       bytes_of(dtype) == 1 ? '|' : '<', known->type, fmt::join(shape, ", "),
                                       shape.size() == 1 ? "," : "");
  dictionary.append(63 - (10 + dictionary.size()) % 64, ' ');
  dictionary += '\n';
  const size_t length = dictionary.size();
  return std::string("\x93NUMPY\x01\x00", 8) + char(length & 0xff) + char(length >> 8) + dictionary;
}

}  // namespace warpbert::io
