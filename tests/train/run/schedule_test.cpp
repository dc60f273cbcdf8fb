#include "train/run/schedule.h"

#include <doctest/doctest.h>

#include <cmath>

using namespace warpbert;

static TrainOptions options(Schedule schedule, double warmup, double final_lr) {
  TrainOptions o;
  o.lr = 2, o.schedule = schedule, o.warmup = warmup, o.final_lr = final_lr;
  return o;
}

TEST_CASE("schedule: constant without warm-up is the same number at every step") {
  for (long step : {1, 7, 100}) CHECK(learning_rate(options(Schedule::constant, 0, 0), step, 100) == 2);
}

TEST_CASE("schedule: warm-up rises linearly to the full rate") {
  const auto o = options(Schedule::constant, 0.1, 0);
  CHECK(learning_rate(o, 1, 100) == doctest::Approx(0.2));
  CHECK(learning_rate(o, 5, 100) == doctest::Approx(1));
  CHECK(learning_rate(o, 10, 100) == 2);
  CHECK(learning_rate(o, 11, 100) == 2);
  CHECK(learning_rate(options(Schedule::constant, 0.101, 0), 1, 100) == doctest::Approx(2. / 11));  // ceil
}

TEST_CASE("schedule: linear falls to the final share, in a straight line from the end of warm-up") {
  const auto o = options(Schedule::linear, 0.2, 0.25);
  CHECK(learning_rate(o, 20, 100) == 2);
  CHECK(learning_rate(o, 60, 100) == doctest::Approx(2 * (1 + 0.25) / 2));
  CHECK(learning_rate(o, 100, 100) == doctest::Approx(0.5));
  CHECK(learning_rate(options(Schedule::linear, 0, 0), 100, 100) == 0);
}

TEST_CASE("schedule: cosine is half way at half time, and a quarter of the way at a third") {
  const auto o = options(Schedule::cosine, 0, 0.5);
  CHECK(learning_rate(o, 50, 100) == doctest::Approx(2 * 0.75));
  CHECK(learning_rate(o, 100, 300) == doctest::Approx(2 * (0.5 + 0.5 * 0.75)));
  CHECK(learning_rate(o, 300, 300) == doctest::Approx(1));
}

TEST_CASE(
    "schedule: the only step of a run has the whole rate, and the last of two has what was the last's") {
  for (const Schedule schedule : {Schedule::constant, Schedule::linear, Schedule::cosine})
    for (const double warmup : {0.0, 0.5}) CHECK(learning_rate(options(schedule, warmup, 0), 1, 1) == 2);
  CHECK(learning_rate(options(Schedule::linear, 0, 0), 1, 2) == 1);
  CHECK(learning_rate(options(Schedule::linear, 0, 0), 2, 2) == 0);
}
