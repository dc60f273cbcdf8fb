#include "npy.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cctype>
#include <cstring>
#include <exception>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "error.h"
#include "json.h"

namespace warpbert::io {

namespace {

// {'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), } as JSON. Other Python becomes no JSON.
std::string to_json(std::string_view python) {
  std::string json;
  char quote = 0;
  for (size_t i = 0; i < python.size(); i++) {
    const char c = python[i];
    if (quote) {
      if (c == '"' && quote != c) json += '\\';
      json += c == quote ? '"' : c;
      if (c == quote) quote = 0;
    } else if (c == '\'' || c == '"') {
      quote = c, json += '"';
    } else if (c == ')' || c == '}' || c == ']') {
      json.resize(json.find_last_not_of(" \n") + 1);
      if (json.size() > 1 && json.back() == ',' && json.find_last_of("[{") != json.size() - 2)
        json.pop_back();
      json += c == ')' ? ']' : c;
    } else if (c == '(') {
      json += '[';
    } else if (python.substr(i).starts_with("True")) {
      json += "true", i += 3;
    } else if (python.substr(i).starts_with("False")) {
      json += "false", i += 4;
    } else if (c != 'L' || json.empty() ||
               !std::isdigit(static_cast<unsigned char>(json.back()))) {  // 3L: Python 2
      json += c;
    }
  }
  return json;
}

NpyHeader parse_header(std::string_view text, const std::string& where) {
  RepeatedKey repeated;
  const nlohmann::json json = parse_json(to_json(text), repeated);
  NpyHeader header;
  try {
    const auto &descr = json.at("descr"), &shape = json.at("shape");
    if (json.size() != 3 || repeated.depth || !shape.is_array()) throw std::out_of_range("other keys");
    if (descr.is_array()) fail("{}: has a structured dtype; save its fields as arrays of numbers", where);
    header.descr = descr.get<std::string>();
    header.fortran_order = json.at("fortran_order").get<bool>();
    for (const auto& n : shape) header.shape.push_back(json_integer<int64_t>(n));
    if (header.descr.empty() ||
        std::any_of(header.shape.begin(), header.shape.end(), [](int64_t n) { return n < 0; }))
      throw std::out_of_range("no size or type");
  } catch (const Error&) {
    throw;
  } catch (const std::exception&) {
    fail("{}: its .npy header is malformed; save the file again", where);
  }
  return header;
}

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

  NpyHeader header = parse_header(text, where);
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

  // Iterates in C order and tracks the offset in Fortran order.
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
