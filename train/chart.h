// Line charts and histograms as SVG text.
#pragma once
#include <string>
#include <vector>

namespace warpbert {

std::string escape_html(const std::string& text);

struct Series {
  std::string name, css_class;  // the class gives the colour
  std::vector<double> x, y;     // points whose y is not a number are left out
};

struct Chart {
  std::string title, x_label;
  std::vector<Series> series;
  int marked = -1;  // index of a point of series 0 to mark
  std::string mark_text;
  bool diagonal = false;  // a reference line from corner to corner
};

// At most some 600 points a series are drawn: of every stretch its mean.
std::string line_chart(const Chart& chart);

// Shares of each group by bins of [0, 1].
std::string histogram(const std::string& title, const std::string& x_label, const std::vector<Series>& groups);

}  // namespace warpbert
