// A run's data, device and model with its initial weights.
#pragma once
#include <memory>
#include <utility>

#include "engine/adam.h"
#include "engine/device.h"
#include "model/bert.h"
#include "run_data.h"
#include "train/config/options.h"

namespace warpbert {

// Both throw std::runtime_error if this build lacks run.device.
void check_device(const RunOptions& options);
std::unique_ptr<Device> open_device(const RunOptions& options);

// Throws UsageError for unsupported settings.
BertConfig bert_config(const ModelOptions& options, int vocabulary);

AdamOptions adam_options(const TrainOptions& options);

// "bf16 with fp32 master weights", "fp32" or "tf32"
const char* precision_text(Precision precision);

class Session {
 public:
  // Opens the device, builds the model, closes the weights, prints a summary.
  Session(RunSetup&& setup, RunData&& data);
  explicit Session(RunSetup&& setup) : Session(std::move(setup), read_run_data(setup)) {}

  const ResolvedOptions& options() const { return options_; }
  const RunData& data() const { return data_; }
  Device& device() { return *device_; }
  Bert& bert() { return bert_; }

 private:
  const ResolvedOptions options_;
  const RunData data_;
  std::unique_ptr<Device> device_;
  Bert bert_;
};

}  // namespace warpbert
