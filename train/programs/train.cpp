// train --config base.ini [--section.key=value …]
#include "train/command_line.h"
#include "train/main.h"
#include "train/trainer.h"

int main(int argc, char** argv) {
  return warpbert::run_main(argc, argv, [](int argc, char** argv) {
    const auto arguments = warpbert::parse_train_arguments(argc, argv);
    return arguments.help ? 0 : warpbert::train(arguments.options, arguments.dry_run);
  });
}
