#include "page.h"

#include <cmath>
#include <nlohmann/json.hpp>
#include <string_view>

#include "io/text.h"

namespace warpbert {
namespace {

constexpr std::string_view page_template =
#include "report_template.inc"
    ;

// JSON for a script element: ASCII, and without '<', which could end the element. Both occur only inside
// strings.
std::string script_json(const Json& json) {
  std::string out;
  for (const char c : json.dump(-1, ' ', true, Json::error_handler_t::replace))
    if (c == '<') out += "\\u003c";
    else out += c;
  return out;
}

}  // namespace

void add_known(Json& json, const char* key, Json value) {
  if (value.is_null() || (value.is_number_float() && !std::isfinite(value.get<double>()))) return;
  if (value.is_string() ? value.get_ref<const std::string&>().empty() : value.empty()) return;
  json[key] = std::move(value);
}

Json facts_json(const std::vector<Fact>& facts) {
  Json json = Json::array();
  for (const auto& [name, value] : facts) json.push_back({{"name", name}, {"value", value}});
  return json;
}

std::string json_text(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string page_html(const std::string& title, const Json& data, const std::vector<Fact>& figures) {
  std::string list;
  for (const auto& [name, value] : figures)
    list += "<li>" + io::escape_html(name) + ": " + io::escape_html(value) + "</li>\n";
  const std::string name = io::escape_html(title);
  const std::pair<std::string_view, std::string> parts[] = {
      {"{{title}}", name}, {"{{title}}", name}, {"{{figures}}", list}, {"{{data}}", script_json(data)}};
  std::string page;
  std::string_view rest = page_template;
  for (const auto& [mark, text] : parts) {  // in the template's order: no text is searched for marks
    const size_t at = rest.find(mark);
    page.append(rest.substr(0, at)).append(text);
    rest.remove_prefix(at + mark.size());
  }
  return page.append(rest);
}

}  // namespace warpbert
