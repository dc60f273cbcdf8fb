// Exact binomial tail probabilities.
#pragma once
#include <algorithm>
#include <cmath>

namespace warpbert::test {

// min(P(X <= count), P(X >= count)) for X ~ Binomial(n, p), summed from the exact distribution.
inline double tail(long n, double p, long count) {
  const auto probability = [&](long k) {
    return std::exp(std::lgamma(n + 1.) - std::lgamma(k + 1.) - std::lgamma(n - k + 1.) +
                    double(k) * std::log(p) + double(n - k) * std::log1p(-p));
  };
  double below = 0, above = 0;
  for (long k = 0; k <= count; k++) below += probability(k);
  for (long k = count; k <= n; k++) above += probability(k);
  return std::min(below, above);
}

// Threshold for tail(): a correct program fails for one seed in 5·10⁸ (two tails). Test seeds are fixed.
constexpr double false_alarm = 1e-9;

}  // namespace warpbert::test
