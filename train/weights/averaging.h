// The mean of models' weights. Models of one run that lie close together, such as its best epochs, often have a mean
// that is better than each of them, and costs what one costs (Izmailov et al. 2018; Vaswani et al. 2017, §6.1).
#pragma once
#include <string>
#include <vector>

namespace warpbert {

// The models that `train` kept with run.keep_best, RUN/models/*.npz, in the order of their epochs. Throws io::Error
// where there are fewer than two.
std::vector<std::string> kept_models(const std::string& run);

// Writes the mean of two files or more: each weight's sum in double, divided and rounded once. Throws io::Error naming
// the files when their shapes or vocabularies differ, or the array with a value that is not finite. Atomic.
void average_models(const std::vector<std::string>& files, const std::string& output);

}  // namespace warpbert
