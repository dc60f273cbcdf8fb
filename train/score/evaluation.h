// Measures of scores with bootstrap intervals (Efron 1979).
//
// A resample draws as many rows as there are, with replacement; an interval is the 2.5th to 97.5th percentile
// over resamples.
//
// Draw i of resample r depends only on (seed, r, i), from Philox: the same on every machine.
#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "metrics.h"

namespace warpbert {

// A draw is (32-bit random word · rows) >> 32; relative bias below rows·2⁻³².
std::vector<uint32_t> draw_rows(uint64_t seed, uint32_t resample, size_t rows);

struct Interval {
  double low, high;
};
// The p-th percentile of n sorted values is at p/100·(n − 1), linearly interpolated. nullopt for no values.
std::optional<Interval> percentile_interval(std::vector<double> values);

// One line of the table; nullopt if undefined.
struct Measured {
  std::string key, name;
  std::optional<double> value;
  std::optional<Interval> interval;
};

// A threshold that the rows did not choose.
struct Threshold {
  float value;
  std::string source;  // for the table: "of the validation rows"
};

struct Evaluation {
  size_t rows = 0, positives = 0;
  int resamples = 0;
  uint64_t seed = 0;
  std::vector<Measured> measures;
  std::optional<Threshold> threshold;
  std::vector<Measured> at_threshold;  // accuracy, F1, precision, recall
};

// An interval skips resamples where its measure is undefined. Every resample searches the threshold of
// highest F1 anew, so its intervals include the search's uncertainty.
Evaluation evaluate(std::span<const float> scores, std::span<const float> labels, int resamples,
                    uint64_t seed, std::optional<Threshold> threshold = {});

std::string evaluation_table(const Evaluation& evaluation);
std::string evaluation_json(const Evaluation& evaluation);  // one line; undefined values are null

// ---- Two models -------------------------------------------------------------------------------------------

// A measure of two models; resamples draw the same rows for both. p is two-sided:
// 2·min(1 + n(d <= 0), 1 + n(d >= 0))/(1 + n), at most 1, for n resampled differences d (Efron & Tibshirani
// 1993, ch. 15).
struct PairedDifference {
  std::string key, name;
  std::optional<double> first, second, difference;  // first − second
  std::optional<Interval> interval;
  std::optional<double> p;
};

struct PairedComparison {
  int resamples = 0;
  uint64_t seed = 0;
  std::vector<PairedDifference> differences;  // AUC, log loss
};

PairedComparison compare(std::span<const float> first, std::span<const float> second,
                         std::span<const float> labels, int resamples, uint64_t seed);

std::string comparison_table(const PairedComparison& comparison);

// One line: the first model's evaluation; "against" holds the second's values and the differences.
std::string evaluation_json(const Evaluation& first, const PairedComparison& comparison);

}  // namespace warpbert
