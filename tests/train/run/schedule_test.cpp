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

TEST_CASE("schedule: warm-up rises from zero to the full rate in a straight line") {
  const auto o = options(Schedule::constant, 0.1, 0);
  CHECK(learning_rate(o, 1, 100) == 0);
  CHECK(learning_rate(o, 6, 100) == doctest::Approx(1));
  CHECK(learning_rate(o, 10, 100) == doctest::Approx(1.8));
  CHECK(learning_rate(o, 11, 100) == 2);
  CHECK(learning_rate(options(Schedule::constant, 0.101, 0), 2, 100) == doctest::Approx(2. / 11));  // ceil
}

TEST_CASE("schedule: linear falls to the final share, in a straight line from the end of warm-up") {
  const auto o = options(Schedule::linear, 0.2, 0.25);
  CHECK(learning_rate(o, 21, 100) == 2);
  CHECK(learning_rate(o, 61, 100) == doctest::Approx(2 * (1 + 0.25) / 2));
  CHECK(learning_rate(o, 101, 100) == doctest::Approx(0.5));  // the step after the last
}

TEST_CASE("schedule: cosine is half way at half time, and a quarter of the way at a third") {
  const auto o = options(Schedule::cosine, 0, 0.5);
  CHECK(learning_rate(o, 51, 100) == doctest::Approx(2 * 0.75));
  CHECK(learning_rate(o, 101, 300) == doctest::Approx(2 * (0.5 + 0.5 * 0.75)));
  CHECK(learning_rate(o, 301, 300) == doctest::Approx(1));
}

// Rates of ten steps by torch.optim.lr_scheduler.LambdaLR with transformers' functions
// get_{linear,cosine}_schedule_with_warmup (the first three columns; warm-up of 0, 3 and 3 steps), and by
// torch.optim.lr_scheduler.CosineAnnealingLR(T_max=10, eta_min=0.2): lr = 2 each.
TEST_CASE("schedule: the rates of PyTorch and transformers, step by step") {
  const double table[10][4] = {{2, 0, 0, 2},
                               {1.8, 0.6666666667, 0.6666666667, 1.955950865},
                               {1.6, 1.333333333, 1.333333333, 1.828115295},
                               {1.4, 2, 2, 1.629006727},
                               {1.2, 1.714285714, 1.900968868, 1.378115295},
                               {1, 1.428571429, 1.623489802, 1.1},
                               {0.8, 1.142857143, 1.222520934, 0.8218847051},
                               {0.6, 0.8571428571, 0.777479066, 0.5709932729},
                               {0.4, 0.5714285714, 0.3765101981, 0.3718847051},
                               {0.2, 0.2857142857, 0.0990311321, 0.2440491353}};
  const TrainOptions columns[4] = {options(Schedule::linear, 0, 0),
                                   options(Schedule::linear, 0.25, 0),  // 0.25: the third of ten steps
                                   options(Schedule::cosine, 0.25, 0), options(Schedule::cosine, 0, 0.1)};
  for (long step = 1; step <= 10; step++)
    for (size_t i = 0; i < 4; i++) {
      CAPTURE(step);
      CAPTURE(i);
      CHECK(learning_rate(columns[i], step, 10) == doctest::Approx(table[step - 1][i]).epsilon(1e-9));
    }
}

TEST_CASE("schedule: every step of a run without warm-up learns, the only one with the whole rate") {
  for (const Schedule schedule : {Schedule::constant, Schedule::linear, Schedule::cosine}) {
    for (const double warmup : {0.0, 0.5}) CHECK(learning_rate(options(schedule, warmup, 0), 1, 1) == 2);
    for (const long total : {2, 3, 1000})
      for (long step = 1; step <= total; step++)
        CHECK(learning_rate(options(schedule, 0, 0), step, total) > 0);
  }
}
