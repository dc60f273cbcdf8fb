// Archives in the fuzz targets: comparing two, and building one from text, so that mutations reach what is
// behind the checksums of zip.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstring>
#include <deque>
#include <limits>
#include <optional>
#include <type_traits>
#include <vector>

#include "fuzz.h"
#include "io/array.h"
#include "io/npz.h"

namespace warpbert::fuzz {

struct Contents {
  std::deque<std::vector<std::byte>> bytes;
  std::vector<io::ArrayView> views;
};

// Reads every array, as stored and as each type that programs ask for.
inline Contents read_all(io::Archive& archive) {
  Contents all;
  for (const io::ArrayInfo& array : archive.arrays()) {
    all.bytes.push_back(archive.raw(array.name));
    all.views.push_back({array.name, array.dtype, array.shape, all.bytes.back().data()});
    accepts(archive.path(), [&] { archive.load<float>(array.name); });
    accepts(archive.path(), [&] { archive.load<int32_t>(array.name); });
    accepts(archive.path(), [&] { archive.load<int64_t>(array.name); });
    accepts(archive.path(), [&] { archive.load<uint8_t>(array.name); });
  }
  archive.verify();
  return all;
}

inline void require_equal(io::Archive& archive, const Contents& expected) {
  const auto& arrays = archive.arrays();
  require(arrays.size() == expected.views.size(), "an archive that was saved again has other arrays");
  for (size_t i = 0; i < arrays.size(); i++) {
    const io::ArrayView& wanted = expected.views[i];
    require(
        arrays[i].name == wanted.name && arrays[i].dtype == wanted.dtype && arrays[i].shape == wanted.shape,
        fmt::format("array '{}' became '{}' when it was saved again", wanted.name, arrays[i].name));
    require(archive.raw(arrays[i].name) == expected.bytes[i],
            fmt::format("array '{}' has other values after it was saved again", wanted.name));
  }
}

// Text of an archive:
//   @ tokens_0 int32 2,3     a name, a dtype (io::name_of) and a shape; without a shape a vector
//   2 7 3                    its values; repeated until the shape is full
//   @ __meta__ text          bytes up to the next line that begins with "@ "
//   {"heads": 2}
// Text of another form, or of more than 2¹⁶ values, gives no arrays.
inline Contents parse_arrays(std::string_view text) {
  constexpr int64_t most_values = 1 << 16;
  Contents all;
  int64_t values = 0;
  while (text.starts_with("@ ")) {
    const size_t end_of_line = text.find('\n');
    if (end_of_line == text.npos) return {};
    std::vector<std::string> words;
    for (std::string_view rest = text.substr(2, end_of_line - 2); !rest.empty();) {
      const size_t end = std::min(rest.find(' '), rest.size());
      words.emplace_back(rest.substr(0, end));
      rest.remove_prefix(std::min(end + 1, rest.size()));
    }
    const size_t next = text.find("\n@ ", end_of_line);
    std::string body(text.substr(end_of_line + 1, next == text.npos ? text.npos : next - end_of_line));
    if (next <= end_of_line) body.clear();
    if (body.ends_with('\n')) body.pop_back();
    text.remove_prefix(next == text.npos ? text.size() : next + 1);
    if (words.size() < 2) return {};

    if (words[1] == "text") {
      all.bytes.emplace_back(body.size());
      if (!body.empty()) std::memcpy(all.bytes.back().data(), body.data(), body.size());
      all.views.push_back({words[0], io::DType::u8, {int64_t(body.size())}, all.bytes.back().data()});
      continue;
    }
    std::optional<io::DType> dtype;
    for (int i = 0; i <= int(io::DType::boolean); i++)
      if (io::name_of(io::DType(i)) == words[1]) dtype = io::DType(i);
    if (!dtype) return {};
    std::vector<double> numbers;
    for (const char* place = body.c_str();;) {
      char* end;
      const double number = std::strtod(place, &end);
      if (end == place) break;
      numbers.push_back(number);
      place = end;
    }
    std::vector<int64_t> shape;
    if (words.size() < 3) {
      shape = {int64_t(numbers.size())};
    } else {
      for (const char* place = words[2].c_str(); *place;) {
        char* end;
        shape.push_back(std::strtol(place, &end, 10));
        if (shape.back() < 0 || shape.back() > most_values || end == place) return {};
        place = end + (*end == ',');
      }
    }
    int64_t size = 1;
    for (const int64_t n : shape)
      if ((size *= n) > most_values) return {};
    if ((values += size) > most_values) return {};
    if (numbers.empty()) numbers = {0};

    auto& bytes = all.bytes.emplace_back(size_t(size) * io::bytes_of(*dtype));
    const auto store = [&]<class T>(T) {
      for (size_t i = 0; i < size_t(size); i++) {
        const double number = numbers[i % numbers.size()];
        T value = T();
        if constexpr (std::is_floating_point_v<T>) {
          if (std::abs(number) <= double(std::numeric_limits<T>::max()) || number != number)
            value = T(number);
          else value = number < 0 ? -std::numeric_limits<T>::infinity() : std::numeric_limits<T>::infinity();
        } else if (number >= double(std::numeric_limits<T>::min()) &&
                   number < double(std::numeric_limits<T>::max())) {
          value = T(number);
        }
        std::memcpy(&bytes[i * sizeof value], &value, sizeof value);
      }
    };
    using enum io::DType;
    if (*dtype == f32) store(float());
    else if (*dtype == f64) store(double());
    else if (*dtype == i8) store(int8_t());
    else if (*dtype == i16) store(int16_t());
    else if (*dtype == i32) store(int32_t());
    else if (*dtype == i64) store(int64_t());
    else if (*dtype == u16 || *dtype == f16 || *dtype == bf16) store(uint16_t());
    else if (*dtype == u32) store(uint32_t());
    else if (*dtype == u64) store(uint64_t());
    else store(uint8_t());
    all.views.push_back({words[0], *dtype, std::move(shape), bytes.data()});
  }
  return all;
}

// Returns whether `path` was written.
inline bool write_archive(const std::string& path, std::string_view text) {
  const Contents all = parse_arrays(text);
  return !all.views.empty() && accepts("", [&] { io::write_npz(path, all.views); });
}

}  // namespace warpbert::fuzz
