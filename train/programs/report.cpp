// report --run DIR [--run DIR2 …] --output compare.html: shows a run in progress, or compares several.
#include <fmt/format.h>

#include "io/atomic_file.h"
#include "io/text.h"
#include "programs.h"
#include "train/config/command_line.h"
#include "train/report/comparison.h"

using namespace warpbert;

int warpbert::report_main(int argc, char** argv) {
  std::vector<std::string> runs;
  std::string output;
  CommandLine line(
      "report",
      "Writes a page that compares runs, finished or in progress: curves, results, options that differ. A "
      "finished run's own page is its report.html.");
  line.repeated("--run", "DIR", "the folder of a run; once more for each further one", runs);
  line.required("--output", "FILE.html", "the page to be written; - for standard output", output);
  if (!line.parse(argc, argv)) return 0;
  if (runs.size() > most_compared_runs)
    throw UsageError(fmt::format("--run: {} given; name 1 to {}", runs.size(), most_compared_runs));
  std::vector<std::string> files;
  for (const std::string& run : runs)
    for (const char* file : {"/config.ini", "/metrics.jsonl"}) files.push_back(run + file);
  refuse_overwriting(output, files);
  io::write_file_atomically(output, comparison_html(read_runs(runs)));
  if (io::is_standard_output(output)) return 0;
  fmt::print("{} run{} in {}\n", runs.size(), runs.size() == 1 ? "" : "s", io::printable(output));
  return 0;
}
