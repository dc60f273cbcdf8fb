// report --run DIR --run DIR2 … --output compare.html: several runs on one page.
#include "io/atomic_file.h"
#include "train/command_line.h"
#include "train/comparison.h"
#include "train/main.h"

using namespace warpbert;

static int report(int argc, char** argv) {
  std::vector<std::string> runs;
  std::string output;
  CommandLine line("report",
                   "Writes a page that compares runs, finished or under way: curves, results, options that differ. A "
                   "run's own page is its report.html.");
  line.repeated("--run", "DIR", "the folder of a run; once more for each further one", runs);
  line.required("--output", "FILE.html", "the page to be written", output);
  if (!line.parse(argc, argv)) return 0;
  if (runs.size() < 2 || runs.size() > most_compared_runs)
    throw UsageError(fmt::format("--run: {} given; name 2 to {}", runs.size(), most_compared_runs));
  io::write_file_atomically(output, comparison_html(read_runs(runs)));
  fmt::print("{} runs compared in {}\n", runs.size(), output);
  return 0;
}

int main(int argc, char** argv) { return run_main(argc, argv, report); }
