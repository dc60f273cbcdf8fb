#include "train/report/tensorboard.h"

#include <doctest/doctest.h>

#include "io/error.h"
#include "tests/support/temporary.h"

using namespace warpbert;
using namespace warpbert::test;

namespace {

// Output of TensorBoard 2.21.0 for the records below:
//
//   writer = tensorboard.summary.writer.record_writer.RecordWriter(file)
//   writer.write(event_pb2.Event(wall_time=1700000000.5, file_version="brain.Event:2").SerializeToString())
//   writer.write(event_pb2.Event(wall_time=1700000001.25, step=50, summary=Summary(value=[
//       Summary.Value(tag="loss/total", simple_value=1.5), …])).SerializeToString())
//   … step=5_000_000_000, twice
const std::string theirs =
    "1800000000000000a37f4b220900002040fc54d9411a0d627261696e2e4576656e743a322b3531103c00000000000000"
    "c8b7a3520900005040fc54d94110322a2f0a110a0a6c6f73732f746f74616c150000c03f0a0f0a086c6f73732f6d6c6d"
    "15000010400a090a026c7215acc527376ae468c43e00000000000000d9d240e70900008040fc54d9411080e497d0122a"
    "2d0a110a0a6c6f73732f746f74616c150000a03f0a180a1173706565642f70616972735f7065725f731500204b44b373"
    "ab103b000000000000001a23ac5c090000c040fc54d9411080e497d0122a2a0a110a0a65706f63682f6c6f7373150000"
    "b03f0a150a0e76616c69646174696f6e2f617563150000603f88128ddb";

std::string hexadecimal(const std::string& bytes) {
  std::string text;
  for (const unsigned char c : bytes) text += "0123456789abcdef"[c >> 4], text += "0123456789abcdef"[c & 15];
  return text;
}

StepRecord first() {
  StepRecord r{1, 50, 1.5, 2.25, undefined, 1e-5, undefined, undefined};
  r.time = 1700000001.25;
  return r;
}
StepRecord second() {
  StepRecord r{2, 5'000'000'000, 1.25, undefined, undefined, undefined, 812.5, INFINITY};
  r.time = 1700000002;
  return r;
}
EpochRecord epoch() {
  EpochRecord r{2, 1.375, undefined, undefined, 0.875};
  r.time = 1700000003;
  return r;
}

}  // namespace

TEST_CASE("tensorboard: the bytes of its own writer, as they come and written anew") {
  const TemporaryFolder folder;
  {
    TensorBoardLog log(folder / "live", 1700000000.5, {});
    CHECK(contents(folder / "live").size() == 24 + 16);
    log.write(first());
    log.write(second());
    log.write(epoch());
    CHECK(hexadecimal(contents(folder / "live")) == theirs);
  }
  const TensorBoardLog again(folder / "again", 1700000000.5, {{first(), second()}, {epoch()}});
  CHECK(hexadecimal(contents(folder / "again")) == theirs);
}

TEST_CASE("tensorboard: records of a version without times, and epochs among the steps") {
  const TemporaryFolder folder;
  StepRecord a{1, 10, 1, 1, 1, 1, 1, 1}, b{2, 20, 1, 1, 1, 1, 1, 1};
  EpochRecord e{1, 1, 1, 1}, f{2, 2, 2, 2};
  const TensorBoardLog anew(folder / "anew", 0, {{a, b}, {e, f}});
  {
    TensorBoardLog log(folder / "live", 0, {});
    log.write(a);
    log.write(e);
    log.write(b);
    log.write(f);
  }
  CHECK(contents(folder / "anew") == contents(folder / "live"));
  {
    TensorBoardLog log(folder / "half", 0, {{a}, {e}});
    log.write(b);
    log.write(f);
  }
  CHECK(contents(folder / "half") == contents(folder / "live"));
}

TEST_CASE("tensorboard: a missing folder is named") {
  const TemporaryFolder folder;
  CHECK(message_of<io::Error>([&] {
          TensorBoardLog(folder / "no/events", 0, {});
        }).starts_with(folder / "no/events"));
}
