// Learning-rate schedule.
#pragma once
#include "train/config/options.h"

namespace warpbert {

// Learning rate of step 1 … total. w = ⌈train.warmup·total⌉, f = train.final_lr, p = (step − w)/(total − w):
//   step <= w    lr·step/w
//   constant     lr
//   linear       lr·(1 − (1 − f)·p)
//   cosine       lr·(f + (1 − f)·(1 + cos πp)/2)           (Loshchilov & Hutter 2017, one period)
// The only step of a run has lr: a last step may have 0.
double learning_rate(const TrainOptions& options, long step, long total);

}  // namespace warpbert
