// study list | count | trace | page | try | ladder (docs/study.md)
#include <fmt/ranges.h>
#include <sys/stat.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

#include "child.h"
#include "exercises.h"
#include "io/atomic_file.h"
#include "io/error.h"
#include "io/text.h"
#include "kernels.h"
#include "ladders.h"
#include "page.h"
#include "train/config/command_line.h"
#include "train/programs/main.h"

namespace warpbert::study {
namespace {

constexpr size_t most_steps = 20'000;
constexpr const char* root = WARPBERT_SOURCE;

int list(int argc, char** argv) {
  CommandLine line("study list", "Prints the names of all shipped kernels, one a line.");
  if (!line.parse(argc, argv)) return 0;
  for (const ShippedKernel& k : shipped_kernels()) fmt::print("{}\n", k.name);
  return 0;
}

struct Size {
  const char *flag, *meaning;
  int bench::StepSizes::*member;
  std::string text = "";
};
struct SizeOptions {
  bool fp32 = false;
  std::vector<Size> all = {{"--tokens", "of the packed batch", &bench::StepSizes::tokens},
                           {"--pairs", "of the batch", &bench::StepSizes::pairs},
                           {"--targets", "that the batch is to predict", &bench::StepSizes::targets},
                           {"--hidden", "size of the model", &bench::StepSizes::hidden},
                           {"--heads", "of attention", &bench::StepSizes::heads},
                           {"--vocabulary", "tokens", &bench::StepSizes::vocabulary}};

  void add_to(CommandLine& line, const bench::StepSizes* shown = nullptr) {  // shown: defaults, for --help
    line.toggle("--fp32", "activations and matrices in fp32, not bf16", fp32);
    for (Size& f : all) {
      if (shown) f.text = fmt::format("{}", shown->*f.member);
      line.optional(f.flag, "N", f.meaning, f.text);
      f.text.clear();
    }
  }
};

bench::StepSizes chosen_sizes(bench::StepSizes s, const SizeOptions& options) {
  for (const Size& f : options.all)
    if (!f.text.empty()) s.*f.member = int(parse_integer(f.flag, f.text, 1, 1'000'000));
  s.fp32 = options.fp32;
  bench::check(s);
  return s;
}

// "2" or "0,1,2"
std::array<unsigned, 3> parse_block(const std::string& text) {
  std::array<unsigned, 3> block = {};
  size_t begin = 0, n = 0;
  for (size_t end = 0; end != std::string::npos && n < 3; begin = end + 1, n++) {
    end = text.find(',', begin);
    block[n] = unsigned(parse_integer("--block", text.substr(begin, end - begin), 0, INT32_MAX));
    if (n == 2 && end != std::string::npos) throw UsageError("--block: at most three numbers, X,Y,Z");
  }
  return block;
}

std::string ratio(int used, int least) {
  return least ? fmt::format("{} of least {} ({:.2f})", used, least, double(used) / least) : "none";
}

void warn_of_newer(const Trace& trace) {
  struct stat program, source;
  if (stat("/proc/self/exe", &program)) return;
  for (const auto& [file, text] : trace.sources)
    if (!stat((std::string(root) + "/" + file).c_str(), &source) && source.st_mtime > program.st_mtime)
      fmt::print(stderr, "study: {} is newer than this program, so its lines may be off; build again\n",
                 file);
}

// {step: {name: [by lane]}} at each barrier, by running the same trace under gdb.
Json variables_at_barriers(const Trace& trace, const std::vector<std::string>& arguments) {
  const TemporaryFolder folder;
  const std::string file = folder / "variables.json";
  setenv("STUDY_VARIABLES", file.c_str(), 1);
  const std::string scripts = root;
  std::vector<std::string> words = {"gdb",    "-nx",
                                    "-q",     "-batch",
                                    "-x",     scripts + "/scripts/lanes.py",
                                    "-x",     scripts + "/study/variables.py",
                                    "--args", this_executable(),
                                    "trace",  "--output=" + folder / "trace.json"};
  words.insert(words.end(), arguments.begin(), arguments.end());
  const ProgramResult result = run_program(words, "", "reads variables", "gdb", true);
  const bool there = std::filesystem::exists(file);
  const Json tables = there ? Json::parse(io::read_file(file), nullptr, false) : Json();
  if (!tables.is_array())
    io::fail("gdb could not read variables; it said: {}", result.output.substr(0, 2000));
  Json all = Json::object();
  for (size_t i = 0; i < trace.steps.size(); i++) {
    const Step& s = trace.steps[i];
    if (s.kind != Event::barrier || size_t(s.epoch) >= tables.size()) continue;
    Json table = Json::object();
    for (const auto& [name, threads] : tables[size_t(s.epoch)].items()) {
      Json lanes = Json::array();
      bool any = false;
      for (size_t lane = 0; lane < 32; lane++)
        if (s.mask >> lane & 1) {
          lanes.push_back(threads[size_t(s.warp) * 32 + lane]);
          any |= lanes.back() != "";
        }
      if (any) table[name] = lanes;
    }
    all[std::to_string(i)] = table;
  }
  return all;
}

void check_trace_name(const std::string& output) {
  if (!output.ends_with(".html") && !output.ends_with(".json"))
    throw UsageError(fmt::format("--output={}: neither .html nor .json", output));
}

int trace(int argc, char** argv) {
  std::vector<std::string> names;
  std::string block = "0", output;
  bool variables = false;
  SizeOptions options;
  CommandLine line("study trace", "Traces one block of a kernel: a page for the browser, or JSON.");
  line.arguments("KERNEL", "the kernel's name, see `study list`", names, true);
  line.required("--output", "FILE", ".html: a page; .json: the trace itself, for `study page`", output);
  line.optional("--block", "X[,Y[,Z]]", "the block to trace", block);
  line.toggle("--variables", "local variables of all threads at each block barrier, by gdb", variables);
  options.add_to(line, &shipped_kernels().front().sizes);
  if (!line.parse(argc, argv)) return 0;
  if (names.size() != 1) throw UsageError("one kernel at a time; `study page` shows two traces side by side");
  check_trace_name(output);
  const std::array<unsigned, 3> at = parse_block(block);
  const ShippedKernel& kernel = find_kernel(names[0]);
  const bench::StepSizes sizes = chosen_sizes(kernel.sizes, options);

  const Recording recording = record(kernel, sizes, at);
  const Trace trace = build_trace(recording, root, argument_members(), most_steps);
  warn_of_newer(trace);
  const Json shown = {{"precision", sizes.fp32 ? "fp32" : "bf16"},
                      {"tokens", sizes.tokens},
                      {"pairs", sizes.pairs},
                      {"targets", sizes.targets},
                      {"hidden", sizes.hidden},
                      {"heads", sizes.heads},
                      {"vocabulary", sizes.vocabulary}};
  Json json = trace_json(trace, recording, kernel.name, shown);
  if (variables) {
    std::vector<std::string> arguments = {kernel.name, "--block=" + block};
    if (sizes.fp32) arguments.push_back("--fp32");
    for (const Size& f : options.all) arguments.push_back(fmt::format("{}={}", f.flag, sizes.*f.member));
    json["variables"] = variables_at_barriers(trace, arguments);
  }
  const std::string title = fmt::format("{}, block ({},{},{})", kernel.name, at[0], at[1], at[2]);
  io::write_file_atomically(output, output.ends_with(".html")
                                        ? trace_page(title, {json})
                                        : json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n");
  const Totals& t = trace.totals;
  fmt::print(
      "{}: {}, block ({},{},{}) of grid ({},{},{}): {} warp steps, {}; sectors {}; bank passes {}; {}\n",
      output, trace.variant, at[0], at[1], at[2], recording.grid[0], recording.grid[1], recording.grid[2],
      t.steps, t.barriers == 1 ? "1 barrier" : fmt::format("{} barriers", t.barriers),
      ratio(t.sectors, t.least_sectors), ratio(t.passes, t.least_passes),
      t.races ? fmt::format("{} steps race", t.races) : "no race");
  return 0;
}

// For gdb (scripts/debug): records nothing.
int run_once(int argc, char** argv) {
  std::vector<std::string> names;
  SizeOptions options;
  CommandLine line("study run", "Runs a kernel and records nothing: for gdb, see scripts/debug.");
  line.arguments("KERNEL", "the kernel's name, see `study list`", names, true);
  options.add_to(line);
  if (!line.parse(argc, argv)) return 0;
  if (names.size() != 1) throw UsageError("one kernel at a time");
  const ShippedKernel& kernel = find_kernel(names[0]);
  run(kernel, chosen_sizes(kernel.sizes, options));
  return 0;
}

int count(int argc, char** argv) {
  std::vector<std::string> names;
  SizeOptions options;
  CommandLine line("study count", "Counts block 0 of each kernel: warp steps, sectors, bank passes, races.");
  line.arguments("KERNEL", "kernels to count; all if none is named", names);
  options.add_to(line);
  if (!line.parse(argc, argv)) return 0;
  const bool all = names.empty();
  if (all)
    for (const ShippedKernel& k : shipped_kernels()) names.push_back(k.name);
  for (const std::string& name : names) find_kernel(name);  // throws before any line
  fmt::print("{:31} {:>6} {:>6} {:>6} {:>7} {:>8} {:>7} {:>5} {:>7} {:>5} {:>5}\n", "kernel", "steps",
             "loads", "stores", "collect", "barriers", "sectors", "least", "passes", "least", "races");
  for (const std::string& name : names) {
    const ShippedKernel& kernel = find_kernel(name);
    const bench::StepSizes sizes = chosen_sizes(kernel.sizes, options);
    if (all && !is_launched(kernel, sizes)) continue;
    const Recording r = record(kernel, sizes, {});
    const Totals t = build_trace(r, root, argument_members(), most_steps).totals;
    fmt::print("{:31} {:>6} {:>6} {:>6} {:>7} {:>8} {:>7} {:>5} {:>7} {:>5} {:>5}\n", kernel.name, t.steps,
               t.loads, t.stores, t.collectives, t.barriers, t.sectors, t.least_sectors, t.passes,
               t.least_passes, t.races);
  }
  return 0;
}

int page(int argc, char** argv) {
  std::vector<std::string> files;
  std::string output;
  CommandLine line("study page", "Shows one trace, or two side by side.");
  line.arguments("TRACE.json", "one or two traces", files, true);
  line.required("--output", "FILE.html", "the page", output);
  if (!line.parse(argc, argv)) return 0;
  if (files.size() > 2) throw UsageError("at most two traces");
  refuse_overwriting(output, files);
  std::vector<Json> traces;
  std::string title;
  for (const std::string& file : files) {
    traces.push_back(read_trace(file));
    title += (title.empty() ? "" : " and ") + traces.back()["kernel"].get<std::string>();
  }
  io::write_file_atomically(output, trace_page(title, traces));
  return 0;
}

int try_(int argc, char** argv) {
  std::vector<std::string> numbers;
  std::string file, output;
  bool solution = false;
  CommandLine line("study try", "Builds an exercise, runs it and says what is wrong.");
  line.arguments("N", "number of an exercise", numbers, true);
  line.optional("--output", "FILE", "trace of block 0; .html: a page, .json: for `study page`", output);
  line.optional("--file", "COPY.cu", "try this copy of the exercise", file);
  line.toggle("--solution", "try the solution instead", solution);
  if (!line.parse(argc, argv)) return 0;
  if (numbers.size() != 1) throw UsageError("one exercise at a time");
  if (solution && !file.empty()) throw UsageError("--solution or --file, not both");
  if (!output.empty()) check_trace_name(output);
  return try_exercise(int(parse_integer("N", numbers[0], 0, 1000)), file, solution, output) ? 0 : 1;
}

int ladder(int argc, char** argv) {
  std::vector<std::string> names;
  CommandLine line("study ladder",
                   "Prints what each rung of a ladder costs, from the first idea to the kernel.");
  line.arguments("NAME", fmt::format("one of: {}", fmt::join(ladder_names(), ", ")), names, true);
  if (!line.parse(argc, argv)) return 0;
  if (names.size() != 1) throw UsageError("one ladder at a time");
  print_ladder(names[0]);
  return 0;
}

int study(int argc, char** argv) {
  struct Command {
    const char *name, *purpose;
    int (*run)(int, char**);
  };
  static constexpr Command commands[] = {{"list", "names of all shipped kernels", list},
                                         {"trace", "one block of a kernel as a page or as JSON", trace},
                                         {"count", "counts of block 0 of each kernel", count},
                                         {"page", "a page of one trace, or of two side by side", page},
                                         {"try", "builds and checks an exercise", try_},
                                         {"ladder", "costs of simpler forms of a kernel", ladder},
                                         {"run", "runs a kernel once, for gdb", run_once}};
  const std::string name = argc > 1 ? argv[1] : "--help";
  if (name == "--help" || name == "-h") {
    fmt::print("study COMMAND [OPTION …]: shows what the threads of a block do, step by step.\n\n");
    for (const Command& c : commands) fmt::print("  {:6} {}\n", c.name, c.purpose);
    fmt::print("\nOrder and counts, not time: docs/study.md. `study COMMAND --help` lists options.\n");
    return argc > 1 ? 0 : 2;
  }
  std::vector<std::string> known;
  for (const Command& c : commands) {
    known.push_back(c.name);
    if (name == c.name) return c.run(argc - 1, argv + 1);
  }
  const std::string near = io::nearest(name, known);
  throw UsageError(fmt::format("no command {}{}; there are {}", io::quote(name),
                               near.empty() ? "" : fmt::format("; did you mean {}?", near),
                               fmt::join(known, ", ")));
}

}  // namespace
}  // namespace warpbert::study

int main(int argc, char** argv) { return warpbert::run_main(argc, argv, warpbert::study::study); }
