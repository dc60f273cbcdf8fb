#include "train/config/command_line.h"

#include <doctest/doctest.h>

#include <cstdio>
#include <limits>
#include <utility>

#include "tests/support/captured.h"
#include "tests/support/temporary.h"
#include "train/programs/main.h"

using namespace warpbert;
using namespace warpbert::test;

namespace {

struct Predict {
  std::string run, input, output = "scores.csv";
  bool both = false;
  std::vector<Override> overrides;
  bool went_on = false;

  explicit Predict(std::vector<const char*> arguments) {
    arguments.insert(arguments.begin(), "predict");
    CommandLine line("predict", "Scores pairs with a trained run.");
    line.required("--run", "DIR", "the run's folder", run);
    line.required("--input", "PAIRS.tsv", "the pairs", input);
    line.optional("--output", "FILE", "where the scores go", output);
    line.toggle("--both-orders", "average over both orders of a pair", both);
    line.options({"predict", "run"});
    went_on = line.parse(int(arguments.size()), arguments.data());
    overrides = line.overrides();
  }
};

std::string refusal(std::vector<const char*> arguments) {
  return message_of<UsageError>([&] { Predict predict(std::move(arguments)); });
}

}  // namespace

TEST_CASE("command line: flags with = and with a space, toggles, and options of the named sections") {
  const Predict p(
      {"--run=a=b", "--input", "p [1].tsv", "--both-orders", "--predict.batch=7", "--run.device", "cpu"});
  CHECK(p.went_on);
  CHECK(p.run == "a=b");
  CHECK(p.input == "p [1].tsv");
  CHECK(p.output == "scores.csv");
  CHECK(p.both);
  REQUIRE(p.overrides.size() == 2);
  CHECK(p.overrides[0].key == "predict.batch");
  CHECK(p.overrides[0].value == "7");
  CHECK(p.overrides[1].key == "run.device");
  CHECK(p.overrides[1].value == "cpu");
  CHECK(Predict({"--run", "[a,b]", "--input=-"}).run == "[a,b]");
  CHECK(Predict({"--run", "a", "--input=-"}).input == "-");
  CHECK(refusal({"--run", "a", "--input=-", "--output="}) == "--output needs a value: FILE");
  CHECK(Predict({"--run", "a", "--input=-", "--run.gemm_cache="}).overrides[0].value.empty());
  CHECK(Predict({"--run", "a", "--input=-", "--run.threads", "-1"}).overrides[0].value == "-1");
}

TEST_CASE("command line: repeated flags, bare arguments, single options") {
  std::vector<std::string> runs, files;
  std::string output;
  CommandLine line("eval", "Measures.");
  line.repeated("--run", "DIR", "a trained run", runs);
  line.arguments("FILE", "more files", files);
  line.optional("--output", "FILE", "where the scores go", output);
  line.options({"predict", "run.threads"});
  const char* arguments[] = {"eval",    "one.npz", "--run",          "a", "--predict.batch=7",
                             "--run=b", "two.npz", "--run.threads=1"};
  REQUIRE(line.parse(8, arguments));
  CHECK(runs == std::vector<std::string>{"a", "b"});
  CHECK(files == std::vector<std::string>{"one.npz", "two.npz"});
  REQUIRE(line.overrides().size() == 2);
  CHECK(line.overrides()[1].key == "run.threads");
  const std::string help = line.help();
  CHECK(help.starts_with("Usage: eval [FILE ...] --run DIR [option ...]\n"));
  CHECK(help.find("\n  FILE ") != help.npos);
  CHECK(help.find("--run.threads") != help.npos);
  CHECK(help.find("--run.device") == help.npos);

  CommandLine counting("count", "Counts.");
  counting.arguments("FILE", "the files", files, true);
  CHECK(counting.help().starts_with("Usage: count FILE ... [option ...]\n"));
  CHECK(counting.help().find("\n  FILE                                       required   the files\n") !=
        help.npos);
  files.clear();
  CHECK(message_of<UsageError>([&] { counting.parse(1, arguments); }) ==
        "FILE is missing; --help explains it");

  const auto refusal = [&](std::vector<const char*> arguments) {
    arguments.insert(arguments.begin(), "eval");
    return message_of<UsageError>([&] { line.parse(int(arguments.size()), arguments.data()); });
  };
  CHECK(refusal({}) == "--run DIR is missing; --help explains it");
  CHECK(refusal({"--run=a", "--run="}) == "--run needs a value: DIR");
  CHECK(refusal({"--run=a", "--output=b", "--output=c"}) == "--output is given 2 times; keep one");
  CHECK(refusal({"--run=a", "file", "--rnu=b"}) == "unknown option '--rnu'; did you mean '--run'?");
  CHECK(refusal({"--run=a", "--run.device=cpu"}).starts_with("unknown option '--run.device'"));
}

TEST_CASE("command line: integers") {
  CHECK(parse_integer("--n", "0", 0, 9) == 0);
  CHECK(parse_integer("--n", "-9", -9, 9) == -9);
  CHECK(parse_integer("--n", "9223372036854775807", 0, std::numeric_limits<int64_t>::max()) ==
        std::numeric_limits<int64_t>::max());
  for (const char* text : {"", "x", "1x", " 1", "1.5", "10", "-1", "9223372036854775808"})
    CHECK(message_of<UsageError>([&] { parse_integer("--n", text, 0, 9); }) ==
          fmt::format("--n: '{}' is not an integer in [0, 9]", text));
}

TEST_CASE("command line: numbers") {
  CHECK(parse_number("--x", "0") == 0);
  CHECK(parse_number("--x", "15.5") == 15.5);
  CHECK(parse_number("--x", "1e3") == 1000);
  CHECK(parse_number("--x", "1", 1) == 1);
  CHECK(message_of<UsageError>([] { parse_number("--x", "1.01", 1); }) ==
        "--x: '1.01' is not a number in [0, 1]");
  for (const char* text : {"", "x", "1x", " 1", "-1", "nan", "inf", "1e400"})
    CHECK(message_of<UsageError>([&] { parse_number("--x", text); }) ==
          fmt::format("--x: '{}' is not a number of 0 or more", text));
}

TEST_CASE("command line: every fault has its message") {
  CHECK(refusal({}) == "--run DIR is missing; --help explains it");
  CHECK(refusal({"--run=a"}) == "--input PAIRS.tsv is missing; --help explains it");
  CHECK(refusal({"--run=a", "--input"}) == "--input needs a value: PAIRS.tsv");
  CHECK(refusal({"--run=", "--input=b"}) == "--run needs a value: DIR");
  CHECK(refusal({"--run=a", "--input", "--both-orders"}) == "--input needs a value, not '--both-orders'");
  CHECK(refusal({"--run=a", "--input=b", "--input=c"}) == "--input is given 2 times; keep one");
  CHECK(refusal({"--run=a", "--input=b", "--run.threads=1", "--run.threads=1"}) ==
        "--run.threads is given 2 times; keep one");
  CHECK(refusal({"--run=a", "--inptu=b"}) == "unknown option '--inptu'; did you mean '--input'?");
  CHECK(refusal({"--run=a", "--input=b", "--threads", "3"}) ==
        "unknown option '--threads'; did you mean '--run.threads'?");
  CHECK(refusal({"--run=a", "--input=b", "--train.lr=1"}) ==
        "unknown option '--train.lr'; --help lists them all");
  CHECK(refusal({"--run=a", "--input=b", "-x"}) == "unknown option '-x'; --help lists them all");
  CHECK(refusal({"--run=a", "--input=b", "more"}) == "unexpected argument 'more'; --help lists them all");
  CHECK(refusal({"--run=a", "--input=b", "output=c"}) ==
        "unexpected argument 'output'; did you mean '--output'?");
}

TEST_CASE("command line: train reads its INI and the overrides") {
  const TemporaryFolder folder;
  const std::string ini = folder.write("base.ini", "[data]\ntrain = p.tsv\ntest = t.tsv\n");
  const char* arguments[] = {"train",        "--train.lr=3e-5", "--config", ini.c_str(),
                             "--data.test=", "--train.batch",   "8",        "--dry-run"};
  const TrainArguments a = parse_train_arguments(8, arguments);
  CHECK(!a.help);
  CHECK(a.dry_run);
  CHECK(a.config == ini);
  CHECK(a.options.train.lr == 3e-5);
  CHECK(a.options.train.batch == 8);
  CHECK(a.options.data.test.empty());
  const char* wrong[] = {"train", "--config", ini.c_str(), "--lr=1"};
  CHECK(message_of<UsageError>([&] { parse_train_arguments(4, wrong); }) ==
        "unknown option '--lr'; did you mean '--train.lr'?");
}

TEST_CASE("command line: --help lists every key once, with type, default and meaning, and wins over faults") {
  const char* arguments[] = {"train", "--help", "--nonsense"};
  std::string text;
  bool help = false;
  {
    const Captured output(stdout);
    help = parse_train_arguments(3, arguments).help;
    text = output.text();
  }
  CHECK(help);  // no CHECK while stdout is captured: doctest writes there too
  for (const OptionInfo& info : option_list()) {
    CAPTURE(info.name());
    const std::string entry = "\n  --" + info.name() + " " + info.type + " ";
    const size_t start = text.find(entry);
    REQUIRE(start != std::string::npos);
    CHECK(text.find(entry, start + 1) == std::string::npos);
    const std::string line = text.substr(start + 1, text.find('\n', start + 1) - start - 1);
    CHECK(line.substr(45).starts_with((info.default_value.empty() ? "none" : info.default_value) + " "));
    CHECK(line.substr(56, 10) == info.meaning.substr(0, 10));
  }
  for (size_t start = 0; start < text.size(); start = text.find('\n', start) + 1)
    CHECK(text.find('\n', start) - start <= 120);
}

TEST_CASE("main: exit codes, and one message on stderr") {
  char name[] = "/somewhere/bin/train";
  char* arguments[] = {name};
  const auto run = [&](auto body) {
    const Captured output(stderr);
    const int code = run_main(1, arguments, body);
    return fmt::format("{} {}", code, output.text());
  };
  CHECK(run([](int, char**) { return 0; }) == "0 ");
  CHECK(run([](int, char**) { return 130; }) == "130 ");
  CHECK(run([](int, char**) -> int { throw UsageError("the key"); }) == "2 train: error: the key\n");
  CHECK(run([](int, char**) -> int { throw std::runtime_error("the disk"); }) ==
        "1 train: error: the disk\n");
  CHECK(run([](int, char**) -> int { throw std::bad_alloc(); }) ==
        "1 train: error: out of memory; free some, or raise the limit (ulimit -v)\n");
}
