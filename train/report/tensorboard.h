// TensorBoard scalars: events.out.tfevents.*.
//
//   file    a sequence of frames: uint64 n, masked CRC-32C of these 8 bytes, n bytes, masked CRC-32C of them
//           (TFRecord; numbers are little-endian; masked: rotated right by 15, plus a282ead8)
//   frame   a protobuf message Event { double wall_time = 1; int64 step = 2; string file_version = 3;
//           Summary summary = 5 }; the first has the file version only
//           Summary { repeated Value value = 1 }, Value { string tag = 1; float simple_value = 2 }
//
// An epoch has the step of its last step record. Undefined values are omitted.
#pragma once
#include <cstdio>
#include <string>

#include "metrics_log.h"

namespace warpbert {

class TensorBoardLog {
 public:
  // Writes the file anew; write() appends, as TensorBoard expects.
  TensorBoardLog(const std::string& path, double time, const Metrics& so_far);
  TensorBoardLog(const TensorBoardLog&) = delete;
  ~TensorBoardLog();
  void write(const StepRecord& record);  // flushed to the operating system
  void write(const EpochRecord& record);

 private:
  std::string path_;
  std::FILE* file_;
  long step_;  // of the last step record
};

}  // namespace warpbert
