#include "safetensors.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <map>
#include <nlohmann/json.hpp>

#include "atomic_file.h"
#include "checksum.h"
#include "error.h"
#include "file_kind.h"
#include "json.h"
#include "text.h"

namespace warpbert::io {

namespace {

struct NamedType {
  std::string_view name;
  DType dtype;
};
constexpr NamedType types[] = {{"F16", DType::f16},     {"BF16", DType::bf16}, {"F32", DType::f32},
                               {"F64", DType::f64},     {"I8", DType::i8},     {"I16", DType::i16},
                               {"I32", DType::i32},     {"I64", DType::i64},   {"U8", DType::u8},
                               {"U16", DType::u16},     {"U32", DType::u32},   {"U64", DType::u64},
                               {"BOOL", DType::boolean}};

// write_safetensors begins the header with it.
constexpr std::string_view safetensors_checksum_mark = R"({"__metadata__":{"format":"pt","crc32":")";

struct CloseFile {
  void operator()(std::FILE* file) const { std::fclose(file); }
};

class Safetensors : public Archive {
 public:
  explicit Safetensors(const std::string& path) : Archive(path) {
    const std::string start = read_file(path, file_kind_bytes);
    file_.reset(std::fopen(path.c_str(), "rb"));
    if (!file_ || fseeko(file_.get(), 0, SEEK_END) != 0)
      fail("{}: cannot be read: {}", path, std::strerror(errno));
    const uint64_t total = uint64_t(ftello(file_.get()));
    uint64_t length = 0;
    if (start.size() >= 8) std::memcpy(&length, start.data(), 8);
    if (length < 2 || length > longest_header || total < 8 + length) {
      if (const std::string kind = foreign_kind(start); !kind.empty()) fail("{}: is {}", path, kind);
      fail("{}: is no .safetensors file, or cut off ({} bytes); copy it again", path, total);
    }
    checked_ = check_checksum(path, safetensors_checksum_mark, 8);
    values_ = 8 + length;
    read_header(read_file(path, values_).substr(8), total - values_);
  }

 private:
  static constexpr uint64_t longest_header = 100'000'000;  // the format's own limit

  void read_header(const std::string& text, uint64_t bytes) {
    RepeatedKey repeated;
    const nlohmann::json json = parse_json(text, repeated);
    if (!json.is_object())
      fail("{}: its header is no JSON object; the file is damaged, copy it again", path_);
    check_name(repeated.key);
    if (repeated.depth)
      fail("{}: holds {} '{}' more than once; save it again with one of each", path_,
           repeated.depth == 1 ? "array" : "the key", repeated.key);
    for (const auto& [name, entry] : json.items())
      if (name != "__metadata__") add(name, entry, bytes);
    if (arrays_.empty()) fail("{}: holds no arrays", path_);
    sort_by_place();
    check_places(bytes);
  }

  // Messages print names as they are.
  void check_name(const std::string& name) const {
    if (std::any_of(name.begin(), name.end(), [](unsigned char c) { return c < 0x20 || c == 0x7f; }))
      fail("{}: the name of array {} holds control characters; save it under another", path_, quote(name));
  }

  void add(const std::string& name, const nlohmann::json& entry, uint64_t bytes) {
    check_name(name);
    std::string type;
    std::vector<int64_t> shape;
    std::vector<uint64_t> range;
    try {
      type = entry.at("dtype").get<std::string>();
      for (const auto& n : entry.at("shape")) shape.push_back(n.is_number_unsigned() ? n.get<int64_t>() : -1);
      for (const auto& n : entry.at("data_offsets"))
        range.push_back(n.is_number_unsigned() ? n.get<uint64_t>() : UINT64_MAX);
    } catch (const nlohmann::json::exception&) {
      fail("{}: array '{}': its entry lacks dtype, shape or data_offsets; save the file again", path_, name);
    }
    const auto known =
        std::find_if(std::begin(types), std::end(types), [&](const NamedType& t) { return t.name == type; });
    if (known == std::end(types))
      fail("{}: array '{}' has dtype {}, which is not supported; save it as F32", path_, name, quote(type));
    int64_t expected = int64_t(bytes_of(known->dtype));
    for (const int64_t n : shape)
      if (n < 0 || __builtin_mul_overflow(expected, n, &expected))
        fail("{}: array '{}' has an absurd shape; save the file again", path_, name);
    if (range.size() != 2 || range[0] > range[1] || range[1] > bytes)
      fail("{}: array '{}' is outside the file; it is damaged or cut off, copy it again", path_, name);
    if (range[1] - range[0] != uint64_t(expected))
      fail("{}: array '{}': shape {} of {} needs {} bytes, the file holds {}; save it again", path_, name,
           shape_text(shape), type, expected, range[1] - range[0]);
    arrays_.push_back({name, known->dtype, std::move(shape)});
    begins_[name] = range[0];
  }

  // arrays() promises file order. Empty arrays precede the one at their place.
  void sort_by_place() {
    std::stable_sort(arrays_.begin(), arrays_.end(), [&](const ArrayInfo& a, const ArrayInfo& b) {
      return std::pair(begins_[a.name], a.size() > 0) < std::pair(begins_[b.name], b.size() > 0);
    });
  }

  // No holes, overlaps or tails: two programs must not read two models from one file.
  void check_places(uint64_t bytes) const {
    uint64_t end = 0;
    for (const ArrayInfo& array : arrays_) {
      const uint64_t begin = begins_.at(array.name);
      if (begin < end) fail("{}: array '{}' overlaps another one; save the file again", path_, array.name);
      if (begin > end)
        fail("{}: {} bytes before array '{}' belong to none; save the file again", path_, begin - end,
             array.name);
      end = begin + uint64_t(array.size()) * bytes_of(array.dtype);
    }
    if (end != bytes)
      fail("{}: {} bytes after the last array belong to none; save the file again", path_, bytes - end);
  }

  void read(size_t index, std::span<std::byte> bytes) override {
    const std::string& name = arrays_[index].name;
    errno = 0;
    if (fseeko(file_.get(), off_t(values_ + begins_[name]), SEEK_SET) != 0 ||
        std::fread(bytes.data(), 1, bytes.size(), file_.get()) != bytes.size())
      fail("{}: array '{}' cannot be read: {}", path_, name,
           errno ? std::strerror(errno) : "the file ends early");
  }

  std::unique_ptr<std::FILE, CloseFile> file_;
  uint64_t values_ = 0;
  std::map<std::string, uint64_t> begins_;
};

}  // namespace

std::unique_ptr<Archive> open_safetensors(const std::string& path) {
  return std::make_unique<Safetensors>(path);
}

void write_safetensors(const std::string& path, std::span<const ArrayView> arrays) {
  nlohmann::ordered_json header;
  header["__metadata__"] = {{"format", "pt"}, {"crc32", no_checksum}};
  uint64_t place = 0;
  const auto bytes = [](const ArrayView& a) {
    return uint64_t(ArrayInfo{a.name, a.dtype, a.shape}.size()) * bytes_of(a.dtype);
  };
  for (const ArrayView& array : arrays) {
    if (header.contains(array.name)) fail("{}: array '{}' cannot be written twice", path, array.name);
    const auto type = std::find_if(std::begin(types), std::end(types),
                                   [&](const NamedType& t) { return t.dtype == array.dtype; });
    header[array.name] = {
        {"dtype", type->name}, {"shape", array.shape}, {"data_offsets", {place, place + bytes(array)}}};
    place += bytes(array);
  }
  std::string text = header.dump();
  text.append((8 - text.size() % 8) % 8, ' ');
  const uint64_t length = text.size();
  uint32_t crc = crc32(text.data(), text.size(), crc32(&length, 8));
  for (const ArrayView& array : arrays) crc = crc32(array.data, bytes(array), crc);
  text.replace(safetensors_checksum_mark.size(), no_checksum.size(), checksum_text(crc));
  AtomicFile file(path);
  file.write(&length, 8);
  file.write(text);
  for (const ArrayView& array : arrays) file.write(array.data, bytes(array));
  file.commit();
}

}  // namespace warpbert::io
