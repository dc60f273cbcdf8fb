// One model's steps, which share memory and graphs.
#pragma once
#include "score_step.h"
#include "train_step.h"

namespace warpbert {

struct ModelSteps {
  ModelSteps(Device& device, Bert& bert, Precision precision, const TrainStepConfig& config = {},
             bool use_graphs = true)
      : resources(device, bert, precision, use_graphs), train(resources, config), score(resources) {}

  StepResources resources;
  TrainStep train;
  ScoreStep score;
};

}  // namespace warpbert
