// Commands of warpbert; argv[0] is the command's name. They return the exit code.
#pragma once
#include <string>
#include <vector>

namespace warpbert {

struct Command {
  std::string name, purpose;
  int (*main)(int argc, char** argv);
};
const std::vector<Command>& commands();

int train_main(int argc, char** argv);
int predict_main(int argc, char** argv);
int eval_main(int argc, char** argv);
int report_main(int argc, char** argv);
int average_main(int argc, char** argv);
int export_main(int argc, char** argv);
int inspect_main(int argc, char** argv);
int count_tokens_main(int argc, char** argv);
int completion_main(int argc, char** argv);

}  // namespace warpbert
