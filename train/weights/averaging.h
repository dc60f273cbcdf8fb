// Mean of several models' weights (Izmailov et al. 2018; Vaswani et al. 2017,
// §6.1).
#pragma once
#include <string>
#include <vector>

namespace warpbert {

// RUN/models/epoch-*.npz in epoch order. Throws io::Error for fewer than two.
std::vector<std::string> kept_models(const std::string& run);

// Sums in double, rounds once; atomic. Throws io::Error if shapes or vocabularies differ (names the files) or
// a value is not finite (names the array).
void average_models(const std::vector<std::string>& files, const std::string& output);

}  // namespace warpbert
