// Learning-rate schedule.
#pragma once
#include "train/config/options.h"

namespace warpbert {

// Learning rate of step 1 … total, as in PyTorch and transformers, with t = step − 1,
// w = ⌈train.warmup·total⌉, f = train.final_lr, p = (t − w)/(total − w):
//   t < w        lr·t/w                                    (0 in the first step)
//   constant     lr
//   linear       lr·(1 − (1 − f)·p)
//   cosine       lr·(f + (1 − f)·(1 + cos πp)/2)           (Loshchilov & Hutter 2017, one period)
// A run of one step has lr.
double learning_rate(const TrainOptions& options, long step, long total);

}  // namespace warpbert
