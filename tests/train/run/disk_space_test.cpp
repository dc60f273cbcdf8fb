#include "train/run/disk_space.h"

#include <doctest/doctest.h>

using namespace warpbert;

static const FileSizes sizes{.checkpoint = 30, .model = 10};

static Options options(int epochs, double minutes, int steps = 0) {
  Options o;
  o.train.epochs = epochs, o.run.checkpoint_minutes = minutes, o.run.checkpoint_steps = steps;
  return o;
}

TEST_CASE("disk space: a file is written beside the one that it replaces") {
  // Checkpoint and model, and the second checkpoint before the first is removed.
  CHECK(most_bytes(options(5, 10), sizes, 100) == 30 + 10 + 30);
  // Only the end writes a checkpoint; each better model replaces the one before.
  CHECK(most_bytes(options(5, 0), sizes, 100) == 30 + 10 + 10);
  CHECK(most_bytes(options(1, 0), sizes, 100) == 30 + 10);
  CHECK(most_bytes(options(0, 0), sizes, 100) == 30 + 10);
  CHECK(most_bytes(options(0, 10), sizes, 100) == 30 + 10);
}

TEST_CASE("disk space: what the options keep, but no more than will be written") {
  Options o = options(5, 0, 100);  // checkpoints after 100, …, 500 steps and at the end
  o.run.keep_checkpoints = 3;
  CHECK(most_bytes(o, sizes, 100) == 3 * 30 + 10 + 30);
  o.run.keep_checkpoints = 50;
  CHECK(most_bytes(o, sizes, 100) == 6 * 30 + 10 + 10);
  o = options(5, 10);  // by the clock, at most one after each step
  o.run.keep_checkpoints = 50;
  CHECK(most_bytes(o, sizes, 2) == 11 * 30 + 10 + 10);
  CHECK(most_bytes(o, sizes, 100) == 50 * 30 + 10 + 30);
  o = options(5, 10);
  o.run.keep_best = 3;
  CHECK(most_bytes(o, sizes, 100) == 30 + (1 + 3) * 10 + 30);
  o.run.keep_best = 50, o.run.evaluate_every = 2;  // after epochs 2, 4 and 5
  CHECK(most_bytes(o, sizes, 100) == 30 + (1 + 3) * 10 + 30);
}
