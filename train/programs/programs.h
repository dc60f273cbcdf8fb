// The commands of warpbert. Each takes its own arguments, argv[0] being its name, and returns the exit code.
#pragma once

namespace warpbert {

int train_main(int argc, char** argv);
int predict_main(int argc, char** argv);
int eval_main(int argc, char** argv);
int report_main(int argc, char** argv);
int average_main(int argc, char** argv);
int export_main(int argc, char** argv);
int inspect_main(int argc, char** argv);
int count_tokens_main(int argc, char** argv);

}  // namespace warpbert
