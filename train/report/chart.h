// Line charts and histograms as SVG text, coloured by the page they stand in.
//
// The page's style sheet defines the classes c0 … c6 (the ink of a series, 0 the quiet one), grid, axis, tick, label
// and faint, so that one drawing serves light and dark.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "metrics_log.h"

namespace warpbert {

std::string escape_html(std::string_view text);

// A number as a tick or a table shows it: 0.25, 12, 1500, 20k, 1.5M.
std::string short_number(double value);

struct Axis {
  std::string label;
  double low = undefined, high = undefined;  // undefined: as the data has it, out to round numbers
  bool whole = false;                        // ticks only at integers
  bool log = false;                          // 1, 2, 5, 10, …; for positive values
};

// Points whose x or y is not finite are left out.
struct Series {
  std::string name;  // written where it ends; may be empty
  int color = 1;
  std::vector<double> x, y;
  bool faint = false;  // the background of another
  bool dots = false;
};

struct Mark {
  double x, y;
  std::string text;
  int color = 1;
};

struct LineChart {
  std::string description;  // for readers who do not see it
  Axis x, y;
  std::vector<Series> series;
  std::vector<Mark> marks;
  bool diagonal = false;  // a reference from corner to corner
};

// Some 400 points of a series are drawn at most: of every stretch its mean. "" when there is nothing to draw.
std::string line_chart(const LineChart& chart);

// Groups of bars over the same bins, one before the other.
struct Bars {
  std::string name;
  int color = 1;
  std::vector<double> heights;
};

struct Histogram {
  std::string description;
  Axis x, y;
  double low = 0, high = 1;  // of the bins
  std::vector<Bars> groups;
  double rule = undefined;  // a vertical line here
  std::string rule_text;
};

std::string histogram(const Histogram& chart);  // "" when no bar has a height

}  // namespace warpbert
