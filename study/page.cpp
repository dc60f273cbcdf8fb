#include "page.h"

#include <zlib.h>

#include "io/error.h"
#include "io/json.h"
#include "io/text.h"

namespace warpbert::study {
namespace {

constexpr std::string_view page_template =
#include "study_page.inc"
    ;

// zlib's format, for DecompressionStream("deflate").
std::string compressed(const std::string& text) {
  uLongf size = compressBound(uLong(text.size()));
  std::string out(size, '\0');
  if (compress2(reinterpret_cast<Bytef*>(out.data()), &size, reinterpret_cast<const Bytef*>(text.data()),
                uLong(text.size()), 9) != Z_OK)
    io::fail("zlib cannot compress the trace");
  out.resize(size);
  return out;
}

std::string base64(const std::string& bytes) {
  static constexpr char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  for (size_t i = 0; i < bytes.size(); i += 3) {
    uint32_t group = 0;
    for (size_t k = 0; k < 3; k++) group = group << 8 | (i + k < bytes.size() ? uint8_t(bytes[i + k]) : 0);
    for (size_t k = 0; k < 4; k++) out += i + k <= bytes.size() ? digits[group >> (18 - 6 * k) & 63] : '=';
  }
  return out;
}

}  // namespace

Json read_trace(const std::string& path) {
  const std::string text = io::read_file(path);
  const nlohmann::json checked = io::parse_json(text, path);  // sorts keys; the page shows them as written
  const auto holds = [&](const char* key, auto is) {
    const auto found = checked.find(key);
    return found != checked.end() && is(*found);
  };
  if (!checked.is_object() || !holds("format", [](auto& x) { return x == trace_format; }) ||
      !holds("kernel", [](auto& x) { return x.is_string(); }) ||
      !holds("steps", [](auto& x) { return x.is_array(); }))
    io::fail("{}: no trace; `study trace KERNEL --output FILE.json` writes one", path);
  return Json::parse(text);
}

std::string trace_page(const std::string& title, const std::vector<Json>& traces) {
  const std::string name = io::escape_html(title),
                    data =
                        base64(compressed(Json(traces).dump(-1, ' ', false, Json::error_handler_t::replace)));
  std::string page;
  std::string_view rest = page_template;
  for (const auto& [mark, text] : {std::pair{"{{title}}", name}, {"{{title}}", name}, {"{{data}}", data}}) {
    const size_t at = rest.find(mark);
    page.append(rest.substr(0, at)).append(text);
    rest.remove_prefix(at + std::string_view(mark).size());
  }
  return page.append(rest);
}

}  // namespace warpbert::study
