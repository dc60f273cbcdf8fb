// Exact bounds for counts of random events.
#pragma once
#include <algorithm>
#include <cmath>

namespace warpbert::test {

// How unlikely it is for a binomial variable to be as far out as `count` on its side of the mean:
// min(P(X <= count), P(X >= count)) for X of `n` trials with probability p, by summing the exact distribution.
inline double tail(long n, double p, long count) {
  const auto probability = [&](long k) {
    return std::exp(std::lgamma(n + 1.) - std::lgamma(k + 1.) - std::lgamma(n - k + 1.) + double(k) * std::log(p) +
                    double(n - k) * std::log1p(-p));
  };
  double below = 0, above = 0;
  for (long k = 0; k <= count; k++) below += probability(k);
  for (long k = count; k <= n; k++) above += probability(k);
  return std::min(below, above);
}

// A right program fails a check of tail() against this for one seed in 5·10⁸ (two tails); the seeds of tests are fixed.
constexpr double false_alarm = 1e-9;

}  // namespace warpbert::test
