#include "page.h"

#include <fmt/format.h>

#include <cmath>

#include "chart.h"
#include "report_style.h"

namespace warpbert {

std::string figure(const std::string& title, const std::string& note, const std::string& drawing) {
  if (drawing.empty()) return "";
  return fmt::format("<figure>\n<figcaption><b>{}</b> {}</figcaption>\n{}</figure>\n", escape_html(title),
                     escape_html(note), drawing);
}

std::string section(const std::string& title, const std::string& body) {
  return body.empty() ? "" : fmt::format("<section>\n<h2>{}</h2>\n{}</section>\n", escape_html(title), body);
}

std::string charts(const std::string& figures) {
  return figures.empty() ? "" : "<div class='charts'>\n" + figures + "</div>\n";
}

std::string table(const std::vector<Fact>& facts) {
  if (facts.empty()) return "";
  std::string s = "<table>\n";
  for (const auto& [what, value] : facts)
    s += fmt::format("<tr><th>{}</th><td>{}</td></tr>\n", escape_html(what), escape_html(value));
  return s + "</table>\n";
}

std::string number_or_dash(double value, const char* format) {
  return std::isfinite(value) ? fmt::format(fmt::runtime(format), value) : "–";
}

std::string page(const std::string& title, const std::string& body) {
  return fmt::format(
      "<!DOCTYPE html>\n<html lang='en'>\n<head>\n<meta charset='utf-8'>\n"
      "<meta name='viewport' content='width=device-width, "
      "initial-scale=1'>\n<title>{}</title>\n<style>{}</style>\n"
      "</head>\n<body>\n{}</body>\n</html>\n",
      escape_html(title), report_style, body);
}

}  // namespace warpbert
