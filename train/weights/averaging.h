// Mean of several models' weights. The mean of nearby models, such as a run's best epochs, often beats each
// of them (Izmailov et al. 2018; Vaswani et al. 2017, §6.1).
#pragma once
#include <string>
#include <vector>

namespace warpbert {

// Lists RUN/models/epoch-*.npz (run.keep_best) in epoch order. Throws io::Error for fewer than two.
std::vector<std::string> kept_models(const std::string& run);

// Writes the mean: sums each weight in double, divides and rounds once. Throws io::Error naming the files if
// shapes or vocabularies differ, or the array if a value is not finite. Atomic.
void average_models(const std::vector<std::string>& files, const std::string& output);

}  // namespace warpbert
