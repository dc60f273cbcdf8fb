// The data inside a report's page.
#pragma once
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace warpbert::test {

// Throws where the page has none or it is not JSON.
inline nlohmann::ordered_json embedded_json(const std::string& html) {
  constexpr std::string_view open = "<script type=\"application/json\" id=\"data\">";
  const size_t begin = html.find(open), end = html.find("</script", begin);
  return nlohmann::ordered_json::parse(html.substr(begin + open.size(), end - begin - open.size()));
}

}  // namespace warpbert::test
