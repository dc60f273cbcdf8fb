#include "schedule.h"

#include <cmath>
#include <numbers>

namespace warpbert {

double learning_rate(const TrainOptions& o, long step, long total) {
  const long warmup = long(std::ceil(o.warmup * double(total))), before = step - 1;
  if (total == 1) return o.lr;
  if (before < warmup) return o.lr * double(before) / double(warmup);
  if (o.schedule == Schedule::constant) return o.lr;
  const double p = double(before - warmup) / double(total - warmup);
  const double fall = o.schedule == Schedule::linear ? 1 - p : (1 + std::cos(std::numbers::pi * p)) / 2;
  return o.lr * (o.final_lr + (1 - o.final_lr) * fall);
}

}  // namespace warpbert
