#include "train/masking.h"

#include <doctest/doctest.h>

#include <map>
#include <stdexcept>
#include <thread>
#include <vector>

#include "binomial.h"
#include "train/vocabulary.h"

using namespace warpbert;
using namespace warpbert::test;

namespace {

using Tokens = std::vector<int32_t>;

struct Masked {
  Tokens tokens, targets;
  bool operator==(const Masked&) const = default;
};

Masked mask(const Masking& masking, const Tokens& tokens, uint32_t epoch, uint32_t row) {
  Masked masked{tokens, Tokens(tokens.size(), -1)};
  masking.mask(masked.tokens, masked.targets, epoch, row);
  return masked;
}

constexpr int vocabulary = 7 + 20;

// [UNK] and words 7, 8, …
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
  std::map<int, long> drawn;  // random words in place of [UNK]: those are never the same by chance
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
    // One random word in 20 is the word that stood there.
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
  std::map<int, long> draws;  // of each word
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
  CHECK_THROWS_AS(make(0.15, 0.8, 0.1, 0.5, 0), std::invalid_argument);  // nothing to draw random words from
  CHECK_NOTHROW(make(0.15, 0.7, 0.3, 0.5, 0));
  CHECK_NOTHROW(make(0, 0.8, 0.1, 0.5, 0));
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
    for (uint32_t t = 0; t < 4; t++) {  // each thread its rows, from the last to the first
      threads.emplace_back([&, t] {
        for (uint32_t row = rows - 4 + t; row < rows; row -= 4) actual[row] = mask(masking, original, 2, row);
      });
    }
  }
  CHECK(actual == expected);

  // A token's fate depends on its place alone: the beginning of a row is masked as in the longer row.
  const Masked longer = mask(masking, sentence(17), 2, 5);
  CHECK(Tokens(longer.tokens.begin(), longer.tokens.end() - 1) == expected[5].tokens);
  CHECK(Tokens(longer.targets.begin(), longer.targets.end() - 1) == expected[5].targets);
}
