// Elements of report pages, each "" if there is nothing to show.
#pragma once
#include <string>
#include <utility>
#include <vector>

namespace warpbert {

using Fact = std::pair<std::string, std::string>;  // label and value

// A drawing with title and note; escapes the text, not the drawing.
std::string figure(const std::string& title, const std::string& note, const std::string& drawing);
std::string section(const std::string& title, const std::string& body);
std::string charts(const std::string& figures);  // side by side if there is room
std::string table(const std::vector<Fact>& facts);
std::string number_or_dash(double value, const char* format);

// The complete file, with the style sheet.
std::string page(const std::string& title, const std::string& body);

}  // namespace warpbert
