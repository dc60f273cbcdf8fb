#include "npz.h"

#include <zip.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>

#include "checksum.h"
#include "error.h"
#include "file_kind.h"
#include "json.h"
#include "npy.h"
#include "text.h"

namespace warpbert::io {

namespace {

struct CloseMember {
  void operator()(zip_file_t* member) const { zip_fclose(member); }
};
struct DiscardArchive {
  void operator()(zip_t* archive) const { zip_discard(archive); }
};
using Member = std::unique_ptr<zip_file_t, CloseMember>;
using Zip = std::unique_ptr<zip_t, DiscardArchive>;

class Npz : public Archive {
 public:
  explicit Npz(const std::string& path) : Archive(path) {
    if (const std::string start = read_file(path, file_kind_bytes); !start.starts_with("PK")) {
      const std::string kind = foreign_kind(start);
      fail("{}: is {}", path, kind.empty() ? "no .npz (zip) file" : kind);
    }
    checked_ = check_checksum(path, npz_checksum_mark, -int64_t(npz_checksum_mark.size()) - checksum_digits);
    zip_ = open_zip(0);
    read_headers();
    // Local headers must equal the directory: some programs read only them.
    if (!checked_) open_zip(ZIP_CHECKCONS);
    for (size_t i = 0; i < arrays_.size(); i++) arrays_[i].dtype = dtype(i);
  }

 private:
  Zip open_zip(int flags) const {
    int code = 0;
    Zip zip(zip_open(path_.c_str(), ZIP_RDONLY | flags, &code));
    if (zip) return zip;
    zip_error_t error;
    zip_error_init_with_code(&error, code);
    const std::string why = zip_error_strerror(&error);
    zip_error_fini(&error);
    fail("{}: cannot be read as .npz: {}; the file is damaged or cut off, copy it again", path_, why);
  }

  struct Place {
    zip_uint64_t member;
    NpyHeader header;
  };

  [[noreturn]] void damaged(const std::string& name, const char* why) const {
    fail("{}: array '{}': {}; the file is damaged, copy or save it again", path_, name, why);
  }

  Member open_member(zip_uint64_t member, const std::string& name) {
    Member file(zip_fopen_index(zip_.get(), member, 0));
    if (!file) damaged(name, zip_strerror(zip_.get()));
    return file;
  }

  void read_exactly(zip_file_t* file, void* bytes, size_t count, const std::string& name) {
    for (size_t done = 0; done < count;) {
      const zip_int64_t got = zip_fread(file, static_cast<char*>(bytes) + done, count - done);
      if (got < 0) damaged(name, zip_file_strerror(file));
      if (got == 0) damaged(name, "ends early");
      done += size_t(got);
    }
  }

  // Headers claim sizes, by which memory is reserved: 200 bytes must not ask for 64 GiB.
  void check_size(const zip_stat_t& status, const std::string& name) const {
    constexpr uint64_t most_inflated =
        1032;  // deflate packs at most this many bytes into one (zlib.net/zlib_tech.html)
    const uint64_t ratio = status.comp_method == ZIP_CM_STORE     ? 1
                           : status.comp_method == ZIP_CM_DEFLATE ? most_inflated
                                                                  : UINT64_MAX;
    if (status.comp_size > std::filesystem::file_size(path_) || status.size / ratio > status.comp_size)
      damaged(name, "claims more bytes than the file can hold");
  }

  void check_readable(const zip_stat_t& status, const std::string& name) const {
    if (status.encryption_method != ZIP_EM_NONE)
      fail("{}: array '{}' is encrypted; save it again without a password", path_, name);
    if (zip_compression_method_supported(status.comp_method, 0)) return check_size(status, name);
    const std::string method = status.comp_method == ZIP_CM_LZMA    ? "LZMA"
                               : status.comp_method == ZIP_CM_XZ    ? "XZ"
                               : status.comp_method == ZIP_CM_BZIP2 ? "bzip2"
                               : status.comp_method == ZIP_CM_DEFLATE64
                                   ? "Deflate64"
                                   : fmt::format("zip method {}", status.comp_method);
    fail(
        "{}: array '{}' is compressed by {}, which is not read; save it with numpy.savez or savez_compressed",
        path_, name, method);
  }

  void read_headers() {
    std::map<std::string, int> seen;
    const zip_int64_t count = zip_get_num_entries(zip_.get(), 0);
    for (zip_int64_t i = 0; i < count; i++) {
      zip_stat_t status;
      if (zip_stat_index(zip_.get(), zip_uint64_t(i), 0, &status) != 0)
        fail("{}: member {}: {}", path_, i, zip_strerror(zip_.get()));
      std::string name = status.name;
      if (!name.ends_with(".npy"))
        fail("{}: member {} is no .npy array; is this an .npz? (PyTorch checkpoints must be converted)",
             path_, quote(name));
      name.resize(name.size() - 4);
      check_readable(status, name);
      if (seen[name]++)
        fail("{}: holds array '{}' more than once; save it again with one of each", path_, name);

      const Member file = open_member(zip_uint64_t(i), name);
      const auto next = [&](void* bytes, size_t n) { read_exactly(file.get(), bytes, n, name); };
      const NpyHeader header = read_npy_header(next, status.size, fmt::format("{}: array '{}'", path_, name));
      arrays_.push_back({name, DType::u8, header.shape});
      places_.push_back({zip_uint64_t(i), header});
    }
    if (arrays_.empty()) fail("{}: holds no arrays", path_);
  }

  DType dtype(size_t i) {
    const NpyHeader& header = places_[i].header;
    const std::string& name = arrays_[i].name;
    if (header.dtype) return *header.dtype;
    if (header.type == "V2") {
      if (!bfloat16_declared())
        fail("{}: array '{}' has dtype '{}', probably bfloat16, which .npz cannot name; save it as float32",
             path_, name, header.descr);
      return DType::bf16;
    }
    if (header.type.starts_with('O'))
      fail(
          "{}: array '{}' holds pickled Python objects ('{}'), which are never read; save numbers, or leave "
          "it out",
          path_, name, header.descr);
    fail("{}: array '{}' has dtype {}, which is not supported; save it as float32 or int64, or leave it out",
         path_, name, quote(header.descr));
  }

  bool bfloat16_declared() {
    const auto meta =
        std::find_if(arrays_.begin(), arrays_.end(), [](const ArrayInfo& a) { return a.name == "__meta__"; });
    if (meta == arrays_.end() || places_[size_t(meta - arrays_.begin())].header.type != "u1") return false;
    std::vector<std::byte> bytes(size_t(meta->size()));
    read(size_t(meta - arrays_.begin()), bytes);
    const char* text = reinterpret_cast<const char*>(bytes.data());
    const auto json = parse_json({text, bytes.size()}, path_ + ": __meta__");
    return json.is_object() && json.value("dtype", nlohmann::json()) == "bfloat16";
  }

  void read(size_t index, std::span<std::byte> bytes) override {
    const Place& place = places_[index];
    const std::string& name = arrays_[index].name;
    const Member file = open_member(place.member, name);
    std::vector<char> skipped(place.header.bytes);
    read_exactly(file.get(), skipped.data(), skipped.size(), name);
    read_exactly(file.get(), bytes.data(), bytes.size(), name);
    char more;  // libzip checks the CRC at the end
    const zip_int64_t got = zip_fread(file.get(), &more, 1);
    if (got < 0) damaged(name, zip_file_strerror(file.get()));
    if (got > 0) damaged(name, "is longer than its shape says");
    place.header.to_native_c_order(bytes);
  }

  Zip zip_;
  std::vector<Place> places_;
};

}  // namespace

std::unique_ptr<Archive> open_npz(const std::string& path) { return std::make_unique<Npz>(path); }

}  // namespace warpbert::io
