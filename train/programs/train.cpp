// train --config base.ini [--section.key=value …]
#include "train/run/train.h"
#include "processes.h"
#include "programs.h"
#include "train/config/command_line.h"
#include "train/run/dry_run.h"

using namespace warpbert;

int warpbert::train_main(int argc, char** argv) {
  const Processes processes;
  const TrainArguments arguments = parse_train_arguments(argc, argv);
  if (arguments.help) return 0;
  if (arguments.overfit_steps) return overfit_batch(arguments.options, arguments.overfit_steps), 0;
  if (arguments.dry_run) return dry_run(arguments.options), 0;
  return train(arguments.options);
}
