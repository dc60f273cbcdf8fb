// Names and element types of arrays, from the kernel's source.
#include <algorithm>
#include <cstring>
#include <filesystem>
#include <regex>

#include "io/text.h"
#include "parts.h"
#include "simt/kernel_name.h"

namespace warpbert::study {
namespace {

std::vector<std::string> split(const std::string& text) {
  std::vector<std::string> parts;
  int depth = 0;
  for (const char c : text) {
    depth += std::strchr("(<[{", c) ? 1 : std::strchr(")>]}", c) ? -1 : 0;
    if (parts.empty() || (c == ',' && depth == 0)) parts.emplace_back();
    if (c != ',' || depth) parts.back() += c;
  }
  return parts;
}

std::string inside(const std::string& text, size_t open) {
  const char left = text[open], right = left == '(' ? ')' : left == '{' ? '}' : '>';
  int depth = 0;
  for (size_t i = open; i < text.size(); i++) {
    depth += text[i] == left ? 1 : text[i] == right ? -1 : 0;
    if (!depth) return text.substr(open + 1, i - open - 1);
  }
  return "";
}

// None if `source` does not define `kernel`.
std::vector<std::string> parameter_names(const std::string& source, const std::string& kernel) {
  for (size_t at = 0; (at = source.find(kernel + "(", at)) != std::string::npos; at++) {
    const size_t begin = source.find_last_of(";}", at), global = source.rfind("__global__", at);
    if (global == std::string::npos || (begin != std::string::npos && global < begin)) continue;
    std::vector<std::string> names;
    for (const std::string& parameter : split(inside(source, at + kernel.size()))) {
      std::smatch m;
      if (std::regex_search(parameter, m, std::regex(R"((\w+)\s*$)"))) names.push_back(m[1]);
    }
    return names;
  }
  return {};
}

// "const warpbert::bf16*" -> "bf16"
std::string plain_type(const std::string& type) {
  static const std::regex noise(R"(\bconst\b|\*|&|\w+::|\{anonymous\}::|\s)");
  return std::regex_replace(type, noise, "");
}

// "... Args = {float*, int}; ..." -> float*, int
std::vector<std::string> argument_types(const std::string& signature) {
  const size_t at = signature.find("Args = {");
  return at == std::string::npos ? std::vector<std::string>{} : split(inside(signature, at + 7));
}

// "float[32][8]" -> "float"; aliases and structs by their definition in the file; T: `storage`.
std::string element_type(const std::string& source, const std::string& type, const std::string& storage,
                         int depth = 0) {
  std::smatch m;
  if (!std::regex_search(type, m, std::regex(R"(^\s*(\w+))"))) return "float";
  const std::string name = m[1];
  if (name == "T") return storage;
  if (std::regex_match(name, std::regex("float|double|int|unsigned|bf16|uint32_t"))) return name;
  if (depth == 0 && std::regex_search(source, m, std::regex("using " + name + R"( = (?:const )?(\w+))")))
    return element_type(source, m[1], storage, 1);
  if (depth == 0 && std::regex_search(source, m, std::regex("struct " + name + R"( \{\s*(?:const )?(\w+))")))
    return element_type(source, m[1], storage, 1);
  return "float";
}

}  // namespace

std::string from_root(const std::string& file, const std::string& root) {
  std::filesystem::path path = file;
  if (path.is_relative() && !std::filesystem::exists(root / path)) path = WARPBERT_BUILD / path;
  const std::string text = path.lexically_normal().string();
  return text.starts_with(root + "/") ? text.substr(root.size() + 1) : text;
}

void name_arrays(Trace& trace, const Recording& r, const std::string& root,
                 const std::vector<Member>& members) {
  for (const Place& p : trace.places)
    for (const SourceLine& l : p.lines)
      if (!trace.sources.contains(l.file))
        trace.sources[l.file] = io::read_file((std::filesystem::path(root) / l.file).string());

  const std::string kernel = trace.variant.substr(0, trace.variant.find('<'));
  std::vector<std::string> names;
  for (const auto& [file, text] : trace.sources)
    if (names.empty()) names = parameter_names(text, kernel);
  const std::vector<std::string> types = argument_types(r.signature);

  const auto add = [&](uintptr_t pointer, const std::string& name, const std::string& type) {
    for (const Memory& m : r.global)
      if (m.holds(pointer) && std::none_of(trace.arrays.begin(), trace.arrays.end(),
                                           [&](const Array& a) { return a.begin == pointer; }))
        trace.arrays.push_back({name, type, pointer, m.begin + m.bytes - pointer, false, {}});
  };
  std::string storage = "float";  // T: of the first array in bf16 or float
  for (size_t i = 0; i < r.arguments.size(); i++) {
    const std::string name = i < names.size() ? names[i] : "argument " + std::to_string(i);
    const std::string type = i < types.size() ? plain_type(types[i]) : "";
    if (type == "bf16") storage = "bf16";
    const auto& bytes = r.arguments[i].bytes;
    for (size_t at = 0; at + 8 <= bytes.size(); at += 8) {
      uintptr_t pointer;
      std::memcpy(&pointer, bytes.data() + at, 8);
      if (bytes.size() == 8) {
        add(pointer, name, type);
        continue;
      }
      const auto member = std::find_if(members.begin(), members.end(),
                                       [&](const Member& m) { return m.type == type && m.offset == at; });
      if (member == members.end()) add(pointer, name + "+" + std::to_string(at), "int");
      else
        add(pointer, name + "." + member->name.substr(0, member->name.find(':')),
            member->name.substr(member->name.find(':') + 1));
    }
  }
  // An array ends where the next one begins.
  for (Array& a : trace.arrays)
    for (const Array& b : trace.arrays)
      if (b.begin > a.begin && b.begin < a.begin + a.bytes) a.bytes = b.begin - a.begin;
  for (size_t i = 0; i < r.global.size(); i++)
    trace.arrays.push_back(
        {"memory " + std::to_string(i), "int", r.global[i].begin, r.global[i].bytes, false, {}});

  for (const Memory& m : r.shared) {
    Array a{"shared memory", "float", m.begin, m.bytes, true, {from_root(m.file, root), m.line}};
    if (!trace.sources.contains(a.declared.file))
      trace.sources[a.declared.file] =
          io::read_file((std::filesystem::path(root) / a.declared.file).string());
    const std::string& text = trace.sources[a.declared.file];
    size_t begin = 0;
    for (int line = 1; line < m.line; line++) begin = text.find('\n', begin) + 1;
    const std::string line = text.substr(begin, text.find('\n', begin) - begin);
    std::smatch found;
    if (std::regex_search(line, found, std::regex(R"((\w+)\s*=\s*(?:dynamic_)?shared<)"))) {
      a.name = found[1];
      a.type = element_type(text, inside(line, size_t(found.position(0) + found.length(0) - 1)), storage);
    }
    trace.arrays.push_back(a);
  }
}

int Trace::array_of(uintptr_t address) const {
  for (size_t i = 0; i < arrays.size(); i++)
    if (address >= arrays[i].begin && address < arrays[i].begin + arrays[i].bytes) return int(i);
  return -1;
}

}  // namespace warpbert::study
