// What training and prediction have in common: the options of a run turned into a device and a model.
#pragma once
#include <memory>

#include "engine/device.h"
#include "model/bert.h"
#include "options.h"

namespace warpbert {

// Opens the device that run.device asks for; throws std::runtime_error where this build cannot.
std::unique_ptr<Device> open_device(const RunOptions& options);

// The model's shape for a vocabulary of this size. Throws UsageError for settings that cannot be run.
BertConfig bert_config(const ModelOptions& options, int vocabulary);

}  // namespace warpbert
