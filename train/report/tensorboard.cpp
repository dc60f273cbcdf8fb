#include "tensorboard.h"

#include <bit>
#include <boost/crc.hpp>
#include <cerrno>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "io/atomic_file.h"
#include "io/error.h"

namespace warpbert {
namespace {

// ---- Protobuf: a field is its number and wire type in one varint, then its value --------------------------

std::string little_endian(uint64_t value, int bytes) {
  std::string out;
  for (int i = 0; i < bytes; i++) out += char(value >> (8 * i) & 0xff);
  return out;
}

std::string varint(uint64_t value) {
  std::string out;
  for (; value >= 0x80; value >>= 7) out += char((value & 0x7f) | 0x80);
  return out + char(value);
}

enum WireType { integer = 0, eight_bytes = 1, text = 2, four_bytes = 5 };

std::string field(int number, WireType type) { return varint(uint64_t(number) << 3 | type); }

std::string of_double(int number, double value) {
  return field(number, eight_bytes) + little_endian(std::bit_cast<uint64_t>(value), 8);
}
std::string of_float(int number, float value) {
  return field(number, four_bytes) + little_endian(std::bit_cast<uint32_t>(value), 4);
}
std::string of_integer(int number, int64_t value) { return field(number, integer) + varint(uint64_t(value)); }
std::string of_text(int number, std::string_view bytes) {
  return (field(number, text) + varint(bytes.size())).append(bytes);
}

// ---- TFRecord ---------------------------------------------------------------------------------------------

// CRC-32C: Castagnoli polynomial, bits reflected.
uint32_t masked_crc(std::string_view bytes) {
  boost::crc_optimal<32, 0x1EDC6F41, 0xFFFFFFFF, 0xFFFFFFFF, true, true> crc;
  crc.process_bytes(bytes.data(), bytes.size());
  return std::rotr(uint32_t(crc.checksum()), 15) + 0xa282ead8u;
}

std::string frame(std::string_view message) {
  const std::string length = little_endian(message.size(), 8);
  return (length + little_endian(masked_crc(length), 4)).append(message) +
         little_endian(masked_crc(message), 4);
}

// ---- Events -----------------------------------------------------------------------------------------------

// 0 (1970) for records of earlier versions, which have no time.
std::string wall_time(double time) { return of_double(1, std::isfinite(time) ? time : 0); }

template <class Record>
std::string event(const Record& record, long step, std::span<const Field<Record>> fields) {
  std::string summary;
  for (const auto& f : fields)
    if (const double value = record.*f.value; f.tag && std::isfinite(value))
      summary += of_text(1, of_text(1, f.tag) + of_float(2, float(value)));
  return frame(wall_time(record.time) + of_integer(2, step) + of_text(5, summary));
}

void append(std::FILE* file, const std::string& path, const std::string& bytes) {
  if (std::fwrite(bytes.data(), 1, bytes.size(), file) != bytes.size() || std::fflush(file) != 0)
    io::fail("{}: cannot be written: {}", path, std::strerror(errno));
}

}  // namespace

TensorBoardLog::TensorBoardLog(const std::string& path, double time, const Metrics& so_far)
    : path_(path), step_(0) {
  std::string bytes = frame(wall_time(time) + of_text(3, "brain.Event:2"));
  auto step = so_far.steps.begin();
  const auto add_steps = [&](int last_epoch) {
    for (; step != so_far.steps.end() && step->epoch <= last_epoch; ++step)
      bytes += event(*step, step_ = step->step, step_fields());
  };
  for (const EpochRecord& epoch : so_far.epochs) {
    add_steps(epoch.epoch);
    bytes += event(epoch, step_, epoch_fields());
  }
  add_steps(std::numeric_limits<int>::max());
  io::write_file_atomically(path, bytes);
  file_ = std::fopen(path.c_str(), "ae");
  if (!file_) io::fail("{}: cannot be opened to append: {}", path, std::strerror(errno));
}

TensorBoardLog::~TensorBoardLog() { std::fclose(file_); }

void TensorBoardLog::write(const StepRecord& record) {
  append(file_, path_, event(record, step_ = record.step, step_fields()));
}

void TensorBoardLog::write(const EpochRecord& record) {
  append(file_, path_, event(record, step_, epoch_fields()));
}

}  // namespace warpbert
