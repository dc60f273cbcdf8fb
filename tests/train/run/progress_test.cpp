#include "train/run/progress.h"
#include "io/format.h"

#include <doctest/doctest.h>

#include <cstdio>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/text.h"

using namespace warpbert;
using namespace warpbert::test;

namespace {

class Output {
 public:
  Output() : file_(std::tmpfile()) {}
  Output(const Output&) = delete;
  ~Output() { std::fclose(file_); }
  ProgressOutput terminal(int width = 80) const { return {file_, true, width}; }
  ProgressOutput plain() const { return {file_, false, 0}; }
  std::string text() const {
    std::rewind(file_);
    std::string text;
    for (int c; (c = std::fgetc(file_)) != EOF;) text += char(c);
    return text;
  }

 private:
  std::FILE* file_;
};

// Width of UTF-8 text with one column per character.
int columns(const std::string& text) {
  int n = 0;
  for (const char c : text) n += (c & 0xC0) != 0x80;
  return n;
}

const std::string erase = "\r\033[K";

}  // namespace

TEST_CASE("progress: durations as people say them") {
  CHECK(io::duration_text(0) == "0s");
  CHECK(io::duration_text(-3) == "0s");
  CHECK(io::duration_text(41.6) == "42s");
  CHECK(io::duration_text(59.6) == "1m 00s");
  CHECK(io::duration_text(185) == "3m 05s");
  CHECK(io::duration_text(3599.6) == "1h 00m");
  CHECK(io::duration_text(3725) == "1h 02m");
  CHECK(io::duration_text(86400 + 3 * 3600 + 60) == "1d 03h");
}

TEST_CASE("progress: a line says what is known and fits the width") {
  ProgressState state{2,   8,  125,
                      250, 65, {2, 1125, 0.5, 0.6, 0.25, 1e-5, 812.3, 12640, 0.8214, 0, 250, 1536}};
  CHECK(progress_line(state, 200) ==
        "epoch 2/8  ━━━━━━━━━━━━━━╌╌╌╌╌╌╌╌╌╌╌╌╌╌  125/250  loss 0.5000  MLM 0.6000  CLS 0.2500  lr 1e-05  "
        "norm 0.821  "
        "812 pairs/s  12.6k tokens/s  1536 MiB  1m 05s left");
  CHECK(progress_line(state, 100) ==
        "epoch 2/8  125/250  loss 0.5000  MLM 0.6000  CLS 0.2500  lr 1e-05  812 pairs/s  1m 05s left");
  CHECK(progress_line(state, 80) ==
        "epoch 2/8  ━━━━━╌╌╌╌╌  125/250  loss 0.5000  MLM 0.6000  CLS 0.2500  1m 05s left");
  // Fields in the order in which narrower terminals drop them.
  const std::vector<std::string> order{"MiB", "tokens/s", "norm", "lr",     "pairs/s",
                                       "MLM", "left",     "loss", "125/250"};
  size_t least = 0;
  for (int width = 199; width >= 0; width--) {
    CAPTURE(width);
    const std::string line = progress_line(state, width);
    CHECK(columns(line) <= width);
    if (width >= 9) CHECK(line.rfind("epoch 2/8", 0) == 0);
    CHECK((count(line, "loss") == 1) == (width >= 9 + 9 + 13));  // "epoch 2/8", "  125/250", "  loss 0.5000"
    CHECK(count(line, "MLM") == count(line, "CLS"));
    size_t dropped = 0;
    while (dropped < order.size() && !count(line, order[dropped])) dropped++;
    for (size_t i = dropped; i < order.size(); i++) CHECK_MESSAGE(count(line, order[i]) == 1, order[i]);
    CHECK(dropped >= least);
    least = dropped;
  }
  CHECK(least == order.size());
  state = {2, 8, 125, 250};
  CHECK(progress_line(state, 100) == "epoch 2/8  ━━━━━━━━━━━━━━╌╌╌╌╌╌╌╌╌╌╌╌╌╌  125/250");
}

TEST_CASE("progress: the bar is empty at first and full at last") {
  CHECK(count(progress_line({1, 1, 0, 7}, 80), "━") == 0);
  CHECK(count(progress_line({1, 1, 7, 7}, 80), "╌") == 0);
  CHECK(count(progress_line({1, 1, 7, 7}, 80), "━") == 28);
  CHECK(progress_line({1, 1, 0, 0}, 80) == "epoch 1/1  0/0");
}

TEST_CASE("progress: on a terminal, one line redrawn at most ten times a second, and cleared") {
  const Output out;
  {
    Progress progress(2, 1000, out.terminal());
    for (int step = 1; step <= 500; step++) progress.step(1, step);
    CHECK(count(out.text(), erase) <= 5);  // one per 100 ms: 500 steps take under 0.5 s
    progress.show({1, 500, 0.25, 0.3, 0.1, 1e-3, 640, 9000}, 500);
    CHECK(count(out.text(), "\n") == 0);
    std::this_thread::sleep_for(std::chrono::milliseconds(120));
    progress.step(1, 501);
  }
  const std::string text = out.text();
  CHECK(count(text, "loss 0.2500") == 1);
  CHECK(count(text, " left") == 1);
  CHECK(text.compare(text.size() - erase.size(), erase.size(), erase) == 0);
}

TEST_CASE("progress: an epoch's line takes the place of the redrawn one") {
  const Output out;
  Progress progress(2, 10, out.terminal());
  progress.step(1, 10);
  progress.epoch({1, 0.5, 0.6, 0.2, 0.91234, 800, 12}, true, 12);
  const std::string text = out.text();
  const std::string line =
      "epoch   1/2  loss 0.5000  masked tokens 0.6000  [CLS] 0.2000  AUC 0.9123 best  800 pairs/s  12s "
      "left\n";
  REQUIRE(text.size() > line.size());
  CHECK(text.substr(text.size() - line.size() - erase.size()) == erase + line);
}

TEST_CASE("progress: elsewhere, plain lines and no more than one in ten seconds") {
  const Output out;
  {
    Progress progress(1, 1000, out.plain());
    for (int step = 1; step <= 1000; step++) {
      progress.step(1, step);
      if (step % 50 == 0) progress.show({1, step, 0.5, 0.6, 0.2, 1e-3, 640, 9000, 1.25, 3, 250, 512}, step);
    }
    progress.epoch({1, 0.5, 0.6, 0.2, undefined, 800, 12}, false, 0);
  }
  CHECK(out.text() ==
        "epoch   1  step    50/1000  loss 0.5000  masked tokens 0.6000  [CLS] 0.2000  lr 0.001  gradient "
        "norm 1.25  "
        "3 skipped  640 pairs/s  "
        "9000 tokens/s  250 TFLOP/s  512 MiB  0s left\n"
        "epoch   1/1  loss 0.5000  masked tokens 0.6000  [CLS] 0.2000  AUC —  800 pairs/s  done\n");
}

TEST_CASE("progress: a resumed run does not count the steps it did not make") {
  const Output out;
  Progress progress(2, 1000, out.terminal(120));
  progress.step(2, 990);
  std::this_thread::sleep_for(std::chrono::milliseconds(150));
  progress.step(2, 995);  // 5 steps took >= 0.15 s, 5 remain
  const std::string text = out.text();
  const size_t left = text.find("s left");
  REQUIRE(left != text.npos);
  CHECK(count(text, "0s left") + count(text, "1s left") + count(text, "2s left") == 1);  // not of 1,990
}

TEST_CASE("progress: steps without targets have neither losses nor speed") {
  CHECK(losses_text(undefined, undefined, undefined) == "no targets");
  CHECK(losses_text(0.5, undefined, 0.5) == "loss 0.5000  [CLS] 0.5000");
  const Output out;
  Progress progress(1, 10, out.plain());
  progress.show({1, 10, undefined, undefined, undefined, 1e-3, undefined, undefined}, 10);
  progress.epoch({1, undefined, undefined, undefined}, false, 0);
  CHECK(out.text() ==
        "epoch   1  step    10/10  no targets  lr 0.001\n"
        "epoch   1/1  no targets  AUC —  done\n");
}

TEST_CASE("progress: output that cannot be written does not throw") {
  std::FILE* const full = std::fopen("/dev/full", "w");
  {
    Progress progress(1, 10, {full, false, 0});
    progress.show({1, 10, 0.5, 0.6, 0.2, 1e-3, 640, 9000}, 10);
    progress.epoch({1, 0.5, 0.6, 0.2, undefined, 800, 12}, false, 0);
  }
  CHECK(std::ferror(full));
  std::fclose(full);
}
