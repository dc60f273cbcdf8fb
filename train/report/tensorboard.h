// Scalars for TensorBoard: a file events.out.tfevents.*, as its own writer would write it.
//
//   file    a sequence of frames: uint64 n, masked CRC-32C of these 8 bytes, n bytes, masked CRC-32C of them
//           (TFRecord; numbers are little-endian; masked: rotated right by 15, plus a282ead8)
//   frame   a protobuf message Event { double wall_time = 1; int64 step = 2; string file_version = 3;
//           Summary summary = 5 }, the first one with the file version alone
//           Summary { repeated Value value = 1 }, Value { string tag = 1; float simple_value = 2 }
//
// The step of every event is that of training over all epochs; an epoch has that of its last step record. What is
// undefined is left out.
#pragma once
#include <cstdio>
#include <string>

#include "metrics_log.h"

namespace warpbert {

class TensorBoardLog {
 public:
  // Writes the file anew with all that was recorded so far; write() appends to it, since TensorBoard reads along.
  TensorBoardLog(const std::string& path, double time, const Metrics& so_far);
  TensorBoardLog(const TensorBoardLog&) = delete;
  ~TensorBoardLog();
  void write(const StepRecord& record);  // with the operating system once it returns
  void write(const EpochRecord& record);

 private:
  std::string path_;
  std::FILE* file_;
  long step_;  // of the last step record
};

}  // namespace warpbert
