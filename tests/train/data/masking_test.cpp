#include "train/data/masking.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <stdexcept>
#include <thread>
#include <vector>

#include "kernels/philox.h"
#include "tests/support/binomial.h"
#include "train/data/vocabulary.h"

using namespace warpbert;
using namespace warpbert::test;

namespace {

using Tokens = std::vector<int32_t>;

struct Masked {
  Tokens tokens, targets;
  bool operator==(const Masked&) const = default;
};

Masked mask(const Masking& masking, const Tokens& tokens, uint32_t epoch, uint32_t row, size_t a) {
  Masked masked{tokens, Tokens(tokens.size(), -1)};
  masking.mask(masked.tokens, masked.targets, a, epoch, row);
  return masked;
}
Masked mask(const Masking& masking, const Tokens& tokens, uint32_t epoch, uint32_t row) {
  return mask(masking, tokens, epoch, row, tokens.size() / 2);
}

constexpr int vocabulary = 7 + 20;

// Words 7, 8, …; every fifth token is [UNK].
Tokens sentence(int n) {
  Tokens tokens;
  for (int i = 0; i < n; i++) tokens.push_back(i % 5 == 4 ? token::unknown : 7 + i % (vocabulary - 7));
  return tokens;
}

}  // namespace

TEST_CASE("masking: shares of [MASK], kept and random words, for words and [UNK] alike") {
  const Masking masking({}, vocabulary, 42);
  const Tokens original = sentence(25);
  struct Tally {
    long tokens = 0, predicted = 0, masked = 0, unchanged = 0, random = 0;
  } words, unknown;
  std::map<int, long> drawn;  // random replacements of [UNK], never equal to it
  for (uint32_t row = 0; row < 4000; row++) {
    const Masked m = mask(masking, original, row % 3, row);
    for (size_t i = 0; i < original.size(); i++) {
      Tally& tally = original[i] == token::unknown ? unknown : words;
      tally.tokens++;
      if (!m.targets[i]) {
        REQUIRE(m.tokens[i] == original[i]);
        continue;
      }
      REQUIRE(m.targets[i] == original[i]);
      tally.predicted++;
      tally.masked += m.tokens[i] == token::mask;
      tally.unchanged += m.tokens[i] == original[i];
      const bool other = m.tokens[i] != token::mask && m.tokens[i] != original[i];
      tally.random += other;
      if (other) REQUIRE((m.tokens[i] >= token::first_word && m.tokens[i] < vocabulary));
      if (other && original[i] == token::unknown) drawn[m.tokens[i]]++;
    }
  }
  for (const Tally* tally : {&words, &unknown}) {
    // One random word in 20 equals the original.
    const double same = tally == &words ? 0.015 / 20 : 0;
    CHECK(tail(tally->tokens, 0.15, tally->predicted) > false_alarm);
    CHECK(tail(tally->tokens, 0.12, tally->masked) > false_alarm);
    CHECK(tail(tally->tokens, 0.015 + same, tally->unchanged) > false_alarm);
    CHECK(tail(tally->tokens, 0.015 - same, tally->random) > false_alarm);
  }
  for (int word = token::first_word; word < vocabulary; word++) {
    CAPTURE(word);
    CHECK(tail(unknown.random, 1 / 20., drawn[word]) > false_alarm);
  }
}

TEST_CASE("masking: neighbours, rows, epochs and seeds draw independently of each other") {
  const Masking masking({}, vocabulary, 42), other_seed({}, vocabulary, 43);
  const Tokens original = sentence(20);
  long neighbours = 0, rows = 0, diagonal = 0, epochs = 0, seeds = 0;
  for (uint32_t row = 0; row < 4000; row += 2) {
    const Masked m = mask(masking, original, 5, row), next_row = mask(masking, original, 5, row + 1),
                 next_epoch = mask(masking, original, 6, row), other = mask(other_seed, original, 5, row);
    for (size_t i = 0; i < original.size(); i++) {
      neighbours += i % 2 == 0 && m.targets[i] && m.targets[i + 1];
      rows += m.targets[i] && next_row.targets[i];
      diagonal += i + 1 < original.size() && m.targets[i + 1] && next_row.targets[i];
      epochs += m.targets[i] && next_epoch.targets[i];
      seeds += m.targets[i] && other.targets[i];
    }
  }
  CHECK(tail(20000, 0.15 * 0.15, neighbours) > false_alarm);
  CHECK(tail(40000, 0.15 * 0.15, rows) > false_alarm);
  CHECK(tail(38000, 0.15 * 0.15, diagonal) > false_alarm);
  CHECK(tail(40000, 0.15 * 0.15, epochs) > false_alarm);
  CHECK(tail(40000, 0.15 * 0.15, seeds) > false_alarm);
}

TEST_CASE("masking: sentences swap half of the time, independently of rows, epochs and masks") {
  const Masking masking({}, vocabulary, 7);
  long swaps = 0, both_rows = 0, both_epochs = 0, with_mask = 0;
  for (uint32_t row = 0; row < 20000; row += 2) {
    const bool swap = masking.swaps(0, row);
    swaps += swap;
    both_rows += swap && masking.swaps(0, row + 1);
    both_epochs += swap && masking.swaps(1, row);
    with_mask += swap && mask(masking, {8}, 0, row).targets[0];
  }
  CHECK(tail(10000, 0.5, swaps) > false_alarm);
  CHECK(tail(10000, 0.25, both_rows) > false_alarm);
  CHECK(tail(10000, 0.25, both_epochs) > false_alarm);
  CHECK(tail(10000, 0.075, with_mask) > false_alarm);
}

TEST_CASE("masking: options, and their extremes") {
  const Tokens original = sentence(30);
  const auto at = [&](double probability, double mask, double keep) {
    return Masking({.probability = probability, .mask = mask, .keep = keep, .swap = 0.5}, vocabulary, 1);
  };
  long masked = 0, random = 0, swaps = 0, all = 0;
  std::map<int, long> draws;
  const Masking options({.probability = 0.4, .mask = 0.5, .keep = 0.2, .swap = 0.1}, vocabulary, 1);
  for (uint32_t row = 0; row < 500; row++) {
    CHECK(mask(at(0, 0.8, 0.1), original, 0, row) == Masked{original, Tokens(30, 0)});
    CHECK(mask(at(1, 1, 0), original, 0, row) == Masked{Tokens(30, token::mask), original});
    CHECK(mask(at(1, 0, 1), original, 0, row) == Masked{original, original});
    const Masked m = mask(options, original, 0, row), drawn = mask(at(1, 0, 0), original, 0, row);
    for (size_t i = 0; i < 30; i++) {
      all++;
      masked += m.tokens[i] == token::mask;
      random += m.tokens[i] != token::mask && m.tokens[i] != original[i] && original[i] == token::unknown;
      CHECK(drawn.targets[i] == original[i]);
      draws[drawn.tokens[i]]++;
    }
    swaps += options.swaps(0, row);
  }
  CHECK(draws.size() == 20);
  for (int word = token::first_word; word < vocabulary; word++) {
    CAPTURE(word);
    CHECK(tail(all, 1 / 20., draws[word]) > false_alarm);
  }
  CHECK(tail(all, 0.2, masked) > false_alarm);
  CHECK(tail(all / 5, 0.12, random) > false_alarm);
  CHECK(tail(500, 0.1, swaps) > false_alarm);
  CHECK(Masking({.swap = 1}, vocabulary, 1).swaps(3, 4));
  CHECK_FALSE(Masking({.swap = 0}, vocabulary, 1).swaps(3, 4));
}

TEST_CASE("masking: faulty options are refused") {
  const auto make = [](double probability, double mask, double keep, double swap, int words) {
    Masking({.probability = probability, .mask = mask, .keep = keep, .swap = swap}, 7 + words, 1);
  };
  CHECK_THROWS_AS(make(-0.1, 0.8, 0.1, 0.5, 9), std::invalid_argument);
  CHECK_THROWS_AS(make(1.1, 0.8, 0.1, 0.5, 9), std::invalid_argument);
  CHECK_THROWS_AS(make(0.15, 0.8, 0.3, 0.5, 9), std::invalid_argument);
  CHECK_THROWS_AS(make(0.15, 0.8, 0.1, NAN, 9), std::invalid_argument);
  CHECK_THROWS_AS(make(0.15, 0.8, 0.1, 0.5, 0), std::invalid_argument);  // no words to draw from
  CHECK_NOTHROW(make(0.15, 0.7, 0.3, 0.5, 0));
  CHECK_NOTHROW(make(0, 0.8, 0.1, 0.5, 0));

  const auto spans = [](double probability, std::vector<double> ngram) {
    Masking({.probability = probability, .ngram = std::move(ngram)}, vocabulary, 1);
  };
  CHECK_THROWS_AS(spans(0.15, {}), std::invalid_argument);
  CHECK_THROWS_AS(spans(0.15, {0.5, 0.4}), std::invalid_argument);
  CHECK_THROWS_AS(spans(0.15, {1.5, -0.5}), std::invalid_argument);
  CHECK_THROWS_AS(spans(0.15, {NAN, 1}), std::invalid_argument);
  CHECK_THROWS_AS(spans(0.51, {0.5, 0.5}), std::invalid_argument);
  CHECK_NOTHROW(spans(0.51, {1, 0}));
  CHECK_NOTHROW(spans(0.5, {0, 0, 1}));
}

TEST_CASE("masking: single tokens are masked by the recipe's rule, bit for bit") {
  const Tokens original = sentence(25);
  for (const std::vector<double>& ngram : {std::vector<double>{1}, {1, 0, 0}}) {
    const Masking masking({.ngram = ngram}, vocabulary, 42);
    for (uint32_t row = 0; row < 300; row++) {
      Masked expected{original, Tokens(25, 0)};
      for (size_t i = 0; i < 25; i++) {
        const Random4 random = random4(42, 3, site::masking, uint64_t(row) << 32 | i);
        const double r = random.v[0] / 4294967296.0;
        if (r < 0.15) expected.targets[i] = original[i];
        if (r < 0.15 * 0.8) expected.tokens[i] = token::mask;
        else if (r >= 0.15 * 0.9 && r < 0.15) expected.tokens[i] = 7 + int(uint64_t(random.v[1]) * 20 >> 32);
      }
      REQUIRE(mask(masking, original, 3, row, row % 26) == expected);
    }
  }
}

namespace {

// Runs of consecutive targets in [from, to); begin is relative to `from`.
struct Run {
  size_t begin, length;
};
std::vector<Run> runs(const Masked& m, size_t from, size_t to) {
  std::vector<Run> found;
  for (size_t i = from; i < to; i++) {
    if (!m.targets[i]) continue;
    if (i == from || !m.targets[i - 1]) found.push_back({i - from, 0});
    found.back().length++;
  }
  return found;
}

}  // namespace

TEST_CASE(
    "masking: with spans every token is predicted with the same probability, in sentences of any length") {
  for (const double probability : {0.15, 0.5}) {
    const Masking masking({.probability = probability, .ngram = {0.5, 0, 0.3, 0, 0.2}}, vocabulary, 11);
    for (const size_t length : {1u, 2u, 3u, 4u, 6u, 7u, 12u, 13u, 30u}) {
      std::vector<long> predicted(2 * length);
      const Tokens original = sentence(int(2 * length));
      constexpr uint32_t rows = 4000;
      for (uint32_t row = 0; row < rows; row++) {
        const Masked m = mask(masking, original, 1, row, length);
        for (size_t i = 0; i < 2 * length; i++) predicted[i] += m.targets[i] != 0;
      }
      for (size_t i = 0; i < 2 * length; i++) {
        CAPTURE(length);
        CAPTURE(i);
        CHECK(tail(rows, probability, predicted[i]) > false_alarm);
      }
    }
  }
}

TEST_CASE("masking: span lengths, and how often a free token starts one") {
  const Masking masking({.probability = 0.2, .ngram = {0.7, 0.2, 0.1}}, vocabulary, 5);
  const double start = 0.2 / (1.4 * 0.8);
  constexpr size_t length = 40;
  long free = 0, spans = 0, of_length[4] = {};
  for (uint32_t row = 0; row < 4000; row++) {
    const Masked m = mask(masking, sentence(length), 0, row, length);
    for (const Run& run : runs(m, 0, length)) {
      REQUIRE(run.length <= 3);
      if (run.begin == 0 || run.begin > length - 3) continue;  // possibly truncated
      spans++, of_length[run.length]++;
    }
    for (size_t i = 2; i < length - 2; i++) free += !m.targets[i - 1] && !m.targets[i - 2];  // free to start
  }
  long started = 0;  // spans started by such tokens
  for (uint32_t row = 0; row < 4000; row++) {
    const Masked m = mask(masking, sentence(length), 0, row, length);
    for (size_t i = 2; i < length - 2; i++) started += !m.targets[i - 1] && !m.targets[i - 2] && m.targets[i];
  }
  CHECK(tail(free, start, started) > false_alarm);
  CHECK(tail(spans, 0.7, of_length[1]) > false_alarm);
  CHECK(tail(spans, 0.2, of_length[2]) > false_alarm);
  CHECK(tail(spans, 0.1, of_length[3]) > false_alarm);
}

TEST_CASE("masking: long spans need long sentences, spans stay in their sentence, and two never touch") {
  const Masking masking({.probability = 0.5, .ngram = {0, 0, 0, 1}}, vocabulary, 6);
  for (size_t length = 1; length <= 12; length++) {
    const size_t longest = std::min<size_t>((length + 2) / 3, 4);  // length 4: 2 tokens, 7: 3, 10: 4
    long longest_seen = 0, whole = 0, inner = 0, across = 0;
    for (uint32_t row = 0; row < 2000; row++) {
      const Masked m = mask(masking, sentence(int(2 * length)), 0, row, length);
      for (const size_t from : {size_t(0), length})
        for (const Run& run : runs(m, from, from + length)) {
          longest_seen = std::max(longest_seen, long(run.length));
          if (run.begin == 0 || run.begin + run.length == length) continue;
          inner++, whole += run.length == longest;
        }
      across += m.targets[length - 1] && m.targets[length];
    }
    CAPTURE(length);
    CHECK(longest_seen == long(longest));
    CHECK(whole == inner);
    CHECK((inner > 100) == (length >= longest + 2));
    CHECK(tail(2000, 0.25, across) > false_alarm);  // sentences are independent
  }
}

TEST_CASE("masking: the tokens of a span become [MASK], stay or are replaced each by itself") {
  const Masking masking({.probability = 0.3, .mask = 0.6, .keep = 0.3, .ngram = {0, 1}}, vocabulary, 7);
  const Tokens original(30, token::unknown);
  long pairs = 0, masked = 0, both_masked = 0, kept = 0, random = 0, mixed = 0;
  std::map<int, long> drawn;
  for (uint32_t row = 0; row < 3000; row++) {
    const Masked m = mask(masking, original, 0, row, 30);
    for (const Run& run : runs(m, 0, 30)) {
      if (run.length < 2) continue;
      const int32_t first = m.tokens[run.begin], second = m.tokens[run.begin + 1];
      pairs++;
      masked += first == token::mask, both_masked += first == token::mask && second == token::mask;
      kept += first == token::unknown, mixed += first == token::mask && second == token::unknown;
      random += first >= token::first_word;
      if (first >= token::first_word) drawn[first]++;
    }
  }
  CHECK(tail(pairs, 0.6, masked) > false_alarm);
  CHECK(tail(pairs, 0.36, both_masked) > false_alarm);
  CHECK(tail(pairs, 0.3, kept) > false_alarm);
  CHECK(tail(pairs, 0.18, mixed) > false_alarm);
  CHECK(tail(pairs, 0.1, random) > false_alarm);
  for (int word = token::first_word; word < vocabulary; word++)
    CHECK(tail(random, 1 / 20., drawn[word]) > false_alarm);
}

TEST_CASE(
    "masking: spans of different sentences, rows, epochs and seeds are independent, and the same when asked "
    "again") {
  const MaskOptions options{.probability = 0.3, .ngram = {0.5, 0.5}};
  const Masking masking(options, vocabulary, 42), other_seed(options, vocabulary, 43);
  const Tokens original = sentence(20);
  long sentences = 0, rows = 0, epochs = 0, seeds = 0;
  constexpr uint32_t n = 10000;
  for (uint32_t row = 0; row < n; row++) {
    const Masked m = mask(masking, original, 5, row, 10);
    REQUIRE(m == mask(Masking(options, vocabulary, 42), original, 5, row, 10));
    const size_t i = row % 10;  // one token per row: independent samples
    sentences += m.targets[i] && m.targets[i + 10];
    rows += m.targets[i] && mask(masking, original, 5, row + n, 10).targets[i];
    epochs += m.targets[i] && mask(masking, original, 6, row, 10).targets[i];
    seeds += m.targets[i] && mask(other_seed, original, 5, row, 10).targets[i];
  }
  for (const long both : {sentences, rows, epochs, seeds}) CHECK(tail(n, 0.09, both) > false_alarm);
}

TEST_CASE("masking: a row looks the same whoever asks, whenever, on any thread") {
  const Masking masking({}, vocabulary, 123);
  const Tokens original = sentence(16);
  constexpr uint32_t rows = 400;
  std::vector<Masked> expected;
  for (uint32_t row = 0; row < rows; row++) expected.push_back(mask(masking, original, 2, row));

  std::vector<Masked> actual(rows);
  {
    std::vector<std::jthread> threads;
    for (uint32_t t = 0; t < 4; t++) {  // each thread masks its rows in reverse
      threads.emplace_back([&, t] {
        for (uint32_t row = rows - 4 + t; row < rows; row -= 4) actual[row] = mask(masking, original, 2, row);
      });
    }
  }
  CHECK(actual == expected);

  // Masking depends on the position alone: a prefix is masked as in the longer row.
  const Masked longer = mask(masking, sentence(17), 2, 5);
  CHECK(Tokens(longer.tokens.begin(), longer.tokens.end() - 1) == expected[5].tokens);
  CHECK(Tokens(longer.targets.begin(), longer.targets.end() - 1) == expected[5].targets);
}
