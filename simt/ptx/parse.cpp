#include <charconv>
#include <optional>
#include <set>
#include <sstream>
#include <stdexcept>
#include <string_view>
#include <unordered_map>

#include "ptx.h"

namespace ptx {
namespace {

using std::string, std::string_view;

string_view trimmed(string_view s) {
  const auto first = s.find_first_not_of(" \t\r\n");
  return first == s.npos ? string_view() : s.substr(first, s.find_last_not_of(" \t\r\n") - first + 1);
}

// Splits at commas outside of {…} and […].
std::vector<string> operands_of(string_view s) {
  std::vector<string> operands;
  int depth = 0;
  size_t begin = 0;
  for (size_t k = 0; k <= s.size(); k++) {
    const char c = k < s.size() ? s[k] : ',';
    depth += (c == '{' || c == '[') - (c == '}' || c == ']');
    if (c != ',' || depth) continue;
    if (const auto one = trimmed(s.substr(begin, k - begin)); !one.empty()) operands.emplace_back(one);
    begin = k + 1;
  }
  return operands;
}

template <class Number>
std::optional<Number> number(string_view s, int base) {
  Number value;
  const auto [end, error] = std::from_chars(s.data(), s.data() + s.size(), value, base);
  if (error != std::errc() || end != s.data() + s.size()) return std::nullopt;
  return value;
}

// Removes [64] from name[64] and returns 64; nullopt without brackets.
std::optional<unsigned> take_size(string& name) {
  const auto bracket = name.find('[');
  if (bracket == name.npos) return std::nullopt;
  const auto size = number<unsigned>(string_view(name).substr(bracket + 1, name.find(']') - bracket - 1), 10);
  name.resize(bracket);
  return size;
}

bool is_special(string_view name) {
  for (const string_view base : {"%tid.", "%ntid.", "%ctaid.", "%nctaid."})
    if (name.starts_with(base)) return true;
  return name == "%laneid";
}

struct SharedArray {
  string name;
  unsigned alignment = 1, bytes = 0;
};
// .shared .align 128 .b8 name[64]
SharedArray shared_array(string_view declaration) {
  std::istringstream words{string(declaration)};
  SharedArray a;
  string shared, align, type;
  words >> shared >> align >> a.alignment >> type >> a.name;
  const auto bytes = take_size(a.name);
  if (shared != ".shared" || align != ".align" || type != ".b8" || !bytes)
    throw std::runtime_error("not known: " + string(declaration));
  a.bytes = *bytes;
  return a;
}

// Declarations shared by one file's kernels.
struct File {
  string text;
  std::vector<string_view> lines;
  std::map<int, string> sources;
  std::map<string, SharedArray> shared;  // each kernel has its own copy
  std::set<string> dynamic_shared;
};

class KernelParser {
 public:
  KernelParser(string name, const File& file) : file_(file) { kernel_.name = std::move(name); }

  // .param .u64 name  or  .param .align 8 .b8 name[24]
  void parameter(string_view declaration) {
    std::istringstream words{string(declaration)};
    string word, type, name;
    while (words >> word)
      if (word == ".align") words >> word;
      else if (word != ".param") (type.empty() ? type : name) = word;
    int bytes = type.ends_with("64") ? 8 : type.ends_with("32") ? 4 : type.ends_with("16") ? 2 : 1;
    if (const auto elements = take_size(name)) bytes *= int(*elements);
    parameters_[name] = kernel_.parameter_bytes;
    kernel_.parameters.push_back({kernel_.parameter_bytes, bytes});
    kernel_.parameter_bytes += (bytes + 15) / 16 * 16;
  }

  void launch_bounds(string_view sizes) {
    kernel_.max_threads = 1;
    for (const string& size : operands_of(sizes)) kernel_.max_threads *= number<unsigned>(size, 10).value();
  }

  void line(string_view text) {
    if (text.starts_with(".loc\t") || text.starts_with(".loc ")) {
      std::istringstream words{string(text.substr(4))};
      int file = 0, number = 0;
      words >> file >> number;
      const auto found = file_.sources.find(file);
      line_ = (found == file_.sources.end() ? "?" : found->second) + ":" + std::to_string(number);
      return;
    }
    pending_.append(text).append(" ");
    for (;;) {
      const auto rest = trimmed(pending_);
      if (rest.empty()) return pending_.clear();
      // Ignores scopes of inline assembly: names are written before they are read.
      if (rest[0] == '{' || rest[0] == '}') {
        pending_ = rest.substr(1);
        continue;
      }
      const auto end = rest.find_first_of(":;");
      if (end == rest.npos) return;
      const auto statement = trimmed(rest.substr(0, end));
      if (rest[end] == ':') labels_[string(statement)] = int(kernel_.code.size());
      else this->statement(statement);
      pending_ = string(rest.substr(end + 1));
    }
  }

  Kernel finish() {
    if (const auto found = registers_.find(dynamic_shared); found != registers_.end())
      kernel_.constants[found->second] = kernel_.dynamic_shared();
    for (const auto& [instruction, label] : branches_) {
      const auto found = labels_.find(label);
      if (found == labels_.end()) throw std::runtime_error("no label " + label);
      kernel_.code[size_t(instruction)].offset = found->second;
    }
    if (kernel_.code.empty() || kernel_.code.back().arrived == Rendezvous::none)
      throw std::runtime_error("the code runs beyond its end");
    return std::move(kernel_);
  }

 private:
  void statement(string_view s) {
    if (s[0] == '.') return declaration(s);
    Instruction i;
    i.text = s, i.line = line_;
    if (s[0] == '@') {
      i.guard_negated = s[1] == '!';
      const auto end = s.find_first_of(" \t");
      i.guard = register_named(s.substr(i.guard_negated ? 2 : 1, end - (i.guard_negated ? 2 : 1)));
      s = trimmed(s.substr(end));
    }
    const auto end = std::min(s.find_first_of(" \t"), s.size());
    string opcode(s.substr(0, end));
    const auto operands = operands_of(s.substr(end));
    decode(i, opcode, operands);
    if (i.guard >= 0 && i.arrived != Rendezvous::none && i.arrived != Rendezvous::branch &&
        i.arrived != Rendezvous::end)
      throw std::runtime_error("a guarded " + opcode + " is not known");
    kernel_.code.push_back(std::move(i));
  }

  void declaration(string_view s) {
    if (s.starts_with(".reg") || s.starts_with(".pragma")) return;
    place(shared_array(s));
  }

  unsigned place(const SharedArray& array) {
    unsigned& used = kernel_.static_shared;
    used = (used + array.alignment - 1) / array.alignment * array.alignment;
    const unsigned at = used;
    statics_[array.name] = at;
    used += array.bytes;
    return at;
  }

  void decode(Instruction& i, string opcode, const std::vector<string>& operands) {
    if (opcode.starts_with("bra")) branches_.push_back({int(kernel_.code.size()), operands.at(0)});
    const bool writes = !opcode.starts_with("st.") && !opcode.starts_with("red.") &&
                        !opcode.starts_with("bra") && !opcode.starts_with("bar.") &&
                        !opcode.starts_with("cp.") && opcode != "ret";
    bool addressed = false;
    for (size_t k = 0; k < operands.size() && !opcode.starts_with("bra"); k++) {
      const string& o = operands[k];
      auto& list = k == 0 && writes ? i.to : i.from;
      if (o[0] == '[') {
        auto [base, offset] = address(string_view(o).substr(1, o.size() - 2), opcode);
        list.push_back(base);
        (addressed ? i.second_offset : i.offset) = offset;
        addressed = true;
      } else if (o[0] == '{') {
        for (const string& part : operands_of(string_view(o).substr(1, o.size() - 2)))
          list.push_back(value(part));
      } else if (const auto bar = o.find('|'); bar != o.npos) {
        list.push_back(register_named(o.substr(0, bar))), list.push_back(register_named(o.substr(bar + 1)));
      } else {
        list.push_back(value(o));
      }
    }
    if (opcode.starts_with("mov.") && i.to.size() > 1) opcode = "split" + opcode.substr(3);
    if (opcode.starts_with("mov.") && i.from.size() > 1) opcode = "join" + opcode.substr(3);
    const Known* const found = known(opcode);
    if (!found) throw std::runtime_error("instruction " + opcode + " is not known");
    i.execute = found->execute, i.arrived = found->arrived, i.unit = found->unit;
    i.bytes = found->bytes, i.pieces = found->pieces;
  }

  // [%rd1], [%rd1+16], [%r1+-4], [name+8]; name is a parameter or shared memory.
  std::pair<int, int64_t> address(string_view s, string_view opcode) {
    const auto plus = s.find('+');
    const int64_t offset = plus == s.npos ? 0 : number<int64_t>(s.substr(plus + 1), 10).value();
    const string base(s.substr(0, plus));
    if (base[0] == '%') return {register_named(base), offset};
    if (opcode.starts_with("ld.param")) return {constant(0), parameters_.at(base) + offset};
    return {value(base), offset};
  }

  int value(const string& s) {
    if (s[0] == '%' || s == "_") return register_named(s);
    if (s.starts_with("0f")) return constant(number<uint32_t>(string_view(s).substr(2), 16).value());
    if (s.starts_with("0d")) return constant(number<uint64_t>(string_view(s).substr(2), 16).value());
    if (s.starts_with("0x")) return constant(number<uint64_t>(string_view(s).substr(2), 16).value());
    if (const auto n = number<int64_t>(s, 10)) return constant(uint64_t(*n));
    if (const auto n = number<uint64_t>(s, 10)) return constant(*n);
    if (const auto found = statics_.find(s); found != statics_.end()) return constant(found->second);
    if (const auto found = file_.shared.find(s); found != file_.shared.end())
      return constant(place(found->second));
    if (file_.dynamic_shared.count(s)) return register_named(dynamic_shared);
    if (const auto found = parameters_.find(s); found != parameters_.end())
      return constant(uint64_t(found->second));
    throw std::runtime_error("operand " + s + " is not known");
  }

  int register_named(string_view name) {
    const auto [found, is_new] = registers_.try_emplace(string(name), kernel_.registers);
    if (is_new) {
      kernel_.registers++;
      if (is_special(name)) kernel_.special[found->second] = name;
    }
    return found->second;
  }
  int constant(uint64_t value) {
    const int r = register_named("=" + std::to_string(value));
    kernel_.constants[r] = value;
    return r;
  }

  static constexpr const char* dynamic_shared = "=dynamic shared memory";  // address known in finish()

  Kernel kernel_;
  const File& file_;
  std::map<string, int> parameters_;
  std::map<string, unsigned> statics_;
  std::unordered_map<string, int> registers_;
  std::map<string, int> labels_;
  std::vector<std::pair<int, string>> branches_;
  string pending_, line_;
};

std::vector<string_view> lines_of(string_view text) {
  std::vector<string_view> lines;
  while (!text.empty()) {
    const auto end = std::min(text.find('\n'), text.size());
    auto line = text.substr(0, end);
    line = trimmed(line.substr(0, line.find("//")));
    if (!line.empty()) lines.push_back(line);
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return lines;
}

Kernel parse_kernel(const string& name, const File& file, size_t begin, size_t end) {
  // .visible .entry name(  / parameters  / )  / .maxntid …  / {  / code  / }
  KernelParser parser(name, file);
  bool in_code = false;
  for (size_t k = begin + 1; k < end; k++) {
    string_view line = file.lines[k];
    try {
      if (in_code) parser.line(line);
      else if (line.starts_with(".param"))
        parser.parameter(line.ends_with(',') ? line.substr(0, line.size() - 1) : line);
      else if (line.starts_with(".maxntid")) parser.launch_bounds(line.substr(8));
      else if (line == "{") in_code = true;
    } catch (const std::exception& e) {
      throw std::runtime_error(string(e.what()) + ", in: " + string(line));
    }
  }
  return parser.finish();
}

}  // namespace

std::map<string, std::function<Kernel()>> parse(const string& text) {
  const auto file = std::make_shared<File>();
  file->text = text;
  file->lines = lines_of(file->text);
  const auto& lines = file->lines;
  std::map<string, std::function<Kernel()>> kernels;
  for (size_t k = 0; k < lines.size(); k++) {
    const string_view line = lines[k];
    if (line.starts_with(".file")) {
      std::istringstream words{string(line.substr(5))};
      int number = 0;
      string path;
      words >> number >> path;
      path = path.substr(0, path.find_last_of('"'));
      file->sources[number] = path.substr(path.find_last_of("/\"") + 1);
    }
    if (line.starts_with(".extern .shared")) {
      const auto name = line.substr(line.find_last_of(' ') + 1);
      file->dynamic_shared.insert(string(name.substr(0, name.find('['))));
    }
    if (line.starts_with(".shared")) {
      const SharedArray array = shared_array(line);
      file->shared[array.name] = array;
    }
    if (line.find(".entry") == line.npos) continue;
    size_t end = k;
    for (int depth = 0; end < lines.size(); end++) {  // braces also enclose vectors and inline assembly
      int opened = 0;
      for (const char c : lines[end]) opened += (c == '{') - (c == '}');
      const bool closes = depth > 0 && depth + opened == 0;
      depth += opened;
      if (closes) break;
    }
    const auto name_begin = line.find(".entry") + 6;
    const string name(trimmed(line.substr(name_begin, line.find('(') - name_begin)));
    kernels[name] = [name, file, k, end] { return parse_kernel(name, *file, k, end); };
    k = end;
  }
  return kernels;
}

}  // namespace ptx
