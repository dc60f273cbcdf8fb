#include <zip.h>

#include <cerrno>
#include <cstring>
#include <deque>
#include <exception>
#include <set>

#include "atomic_file.h"
#include "checksum.h"
#include "error.h"
#include "npy.h"
#include "npz.h"

namespace warpbert::io {

namespace {

// libzip "source" to write to. Exceptions must not cross C: the first is kept.
struct Sink {
  AtomicFile file;
  std::exception_ptr fault;
};

zip_int64_t sink_command(void* user, void* data, zip_uint64_t length, zip_source_cmd_t command) {
  Sink& sink = *static_cast<Sink*>(user);
  try {
    switch (command) {
      case ZIP_SOURCE_SUPPORTS:
        // libzip demands these; it opens the target empty and never reads.
        return zip_source_make_command_bitmap(
            ZIP_SOURCE_OPEN, ZIP_SOURCE_READ, ZIP_SOURCE_CLOSE, ZIP_SOURCE_STAT, ZIP_SOURCE_ERROR,
            ZIP_SOURCE_FREE, ZIP_SOURCE_SEEK, ZIP_SOURCE_TELL, ZIP_SOURCE_SUPPORTS, ZIP_SOURCE_REMOVE,
            ZIP_SOURCE_BEGIN_WRITE, ZIP_SOURCE_WRITE, ZIP_SOURCE_SEEK_WRITE, ZIP_SOURCE_TELL_WRITE,
            ZIP_SOURCE_COMMIT_WRITE, ZIP_SOURCE_ROLLBACK_WRITE, -1);
      case ZIP_SOURCE_STAT:
        zip_stat_init(static_cast<zip_stat_t*>(data));
        return sizeof(zip_stat_t);
      case ZIP_SOURCE_WRITE:
        sink.file.write(data, length);
        return zip_int64_t(length);
      case ZIP_SOURCE_TELL_WRITE:
        return sink.file.position();
      case ZIP_SOURCE_SEEK_WRITE: {
        const auto* where = ZIP_SOURCE_GET_ARGS(zip_source_args_seek_t, data, length, nullptr);
        if (!where || where->whence != SEEK_SET) return -1;
        sink.file.seek(where->offset);
        return 0;
      }
      case ZIP_SOURCE_ERROR: {
        zip_error_t error;
        zip_error_init(&error);
        zip_error_set(&error, ZIP_ER_WRITE, EIO);
        return zip_error_to_data(&error, data, length);
      }
      default:
        return 0;  // begin, commit, rollback, free: left to AtomicFile
    }
  } catch (...) {
    if (!sink.fault) sink.fault = std::current_exception();
    return -1;
  }
}

void add_array(zip_t* zip, const ArrayView& array, const std::string& header, const std::string& path) {
  const ArrayInfo info{array.name, array.dtype, array.shape};
  zip_buffer_fragment_t fragments[2] = {
      {reinterpret_cast<zip_uint8_t*>(const_cast<char*>(header.data())), header.size()},
      {static_cast<zip_uint8_t*>(const_cast<void*>(array.data)),
       size_t(info.size()) * bytes_of(array.dtype)}};
  zip_source_t* source = zip_source_buffer_fragment(zip, fragments, fragments[1].length ? 2 : 1, 0);
  const zip_int64_t i =
      source ? zip_file_add(zip, (array.name + ".npy").c_str(), source, ZIP_FL_ENC_UTF_8) : -1;
  if (i < 0) {
    zip_source_free(source);
    fail("{}: array '{}' cannot be written: {}", path, array.name, zip_strerror(zip));
  }
  // libzip converts to local time. Noon of this day exists in every zone.
  constexpr zip_uint16_t noon = 12 << 11, first_of_january_1980 = 1 << 5 | 1;
  if (zip_set_file_compression(zip, zip_uint64_t(i), ZIP_CM_STORE, 0) != 0 ||
      zip_file_set_dostime(zip, zip_uint64_t(i), noon, first_of_january_1980, 0) != 0)
    fail("{}: array '{}' cannot be written: {}", path, array.name, zip_strerror(zip));
}

}  // namespace

void write_npz(const std::string& path, std::span<const ArrayView> arrays) {
  std::set<std::string> names;
  std::deque<std::string> headers;  // must outlive zip_close
  for (const ArrayView& array : arrays) {
    if (!names.insert(array.name).second) fail("{}: array '{}' cannot be written twice", path, array.name);
    headers.push_back(npy_header(array.dtype, array.shape));
  }
  if (arrays.empty()) fail("{}: there are no arrays to write", path);

  Sink sink{AtomicFile(path), nullptr};
  zip_error_t error;
  zip_error_init(&error);
  zip_source_t* target = zip_source_function_create(sink_command, &sink, &error);
  zip_t* zip = target ? zip_open_from_source(target, ZIP_CREATE | ZIP_TRUNCATE, &error) : nullptr;
  if (!zip) {
    zip_source_free(target);
    fail("{}: cannot be written: {}", path, zip_error_strerror(&error));
  }
  try {
    for (size_t i = 0; i < arrays.size(); i++) add_array(zip, arrays[i], headers[i], path);
    const std::string comment = fmt::format("{}{}", npz_checksum_mark, no_checksum);
    if (sink.file.is_readable() && zip_set_archive_comment(zip, comment.data(), zip_uint16_t(comment.size())))
      fail("{}: cannot be written: {}", path, zip_strerror(zip));
    if (zip_close(zip) != 0) {
      if (sink.fault) std::rethrow_exception(sink.fault);
      fail("{}: cannot be written: {}", path, zip_strerror(zip));
    }
  } catch (...) {
    zip_discard(zip);
    throw;
  }
  if (sink.file.is_readable()) {
    const int64_t digits = sink.file.position() - checksum_digits;
    const std::string checksum = checksum_text(sink.file.checksum(digits));
    sink.file.seek(digits);
    sink.file.write(checksum);
  }
  sink.file.commit();
}

}  // namespace warpbert::io
