// The pieces of a report's page: each is "" where there is nothing to show. Charts are those of chart.h.
#pragma once
#include <string>
#include <utility>
#include <vector>

namespace warpbert {

using Fact = std::pair<std::string, std::string>;  // what, and how much

// A drawing under its title and a note; text is escaped, the drawing is not.
std::string figure(const std::string& title, const std::string& note, const std::string& drawing);
std::string section(const std::string& title, const std::string& body);
std::string charts(const std::string& figures);  // beside one another where there is room
std::string table(const std::vector<Fact>& facts);
std::string number_or_dash(double value, const char* format);

// The whole file, with the style sheet in it.
std::string page(const std::string& title, const std::string& body);

}  // namespace warpbert
