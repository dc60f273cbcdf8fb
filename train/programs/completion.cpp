// completion SHELL: prints a script that completes commands, options and values, from the commands' own
// tables.
#include <fmt/format.h>

#include <string>
#include <vector>

#include "io/text.h"
#include "programs.h"
#include "train/config/command_line.h"

using namespace warpbert;

namespace {

// zsh runs bash's script by bashcompinit.
constexpr const char* zsh_start = R"sh(#compdef warpbert
autoload -U +X bashcompinit && bashcompinit
)sh";
// When zsh autoloads this file as _warpbert, the first completion is this call.
constexpr const char* zsh_end =
    R"sh([[ ${funcstack[1]} == _warpbert ]] && _bash_complete -F _warpbert_complete
)sh";

// bash splits --key=value into three words, zsh does not.
constexpr const char* functions = R"sh(  esac
}

_warpbert_files() {
  COMPREPLY=($(compgen -f -P "$prefix" -- "${word#"$prefix"}"))
  compopt -o filenames 2> /dev/null || true  # bash only
}

_warpbert_complete() {
  local IFS=$'\n' word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]}
  local key=$before prefix= names= values= name type
  COMPREPLY=()
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W "$(_warpbert_commands)" -- "$word"))
    return
  fi
  case $word in
    =) word= ;;
    --*=*) key=${word%%=*} prefix=$key= ;;
    *) [ "$before" = = ] && key=${COMP_WORDS[COMP_CWORD-2]} ;;
  esac
  while IFS=$'\t' read -r name type; do
    names+=$name$'\n'
    [ "$name" = "$key" ] && values=$type
  done <<< "$(_warpbert_options "${COMP_WORDS[1]}")"
  case $values in
    *'|'*) COMPREPLY=($(compgen -W "$prefix${values//|/$'\n'$prefix}" -- "$word")) ;;
    FILE*|DIR|PATH) _warpbert_files ;;
    ?*) ;;
    *) case $word in
        -*) COMPREPLY=($(compgen -W "$names" -- "$word")) ;;
        *) _warpbert_files ;;
      esac ;;
  esac
}
complete -F _warpbert_complete warpbert
)sh";

}  // namespace

int warpbert::completion_main(int argc, char** argv) {
  std::vector<std::string> shells;
  CommandLine line("completion",
                   "Prints a script with which a shell completes commands, options and values:\n"
                   "  source <(warpbert completion bash)");
  line.arguments("SHELL", "bash or zsh", shells, true);
  if (!line.parse(argc, argv)) return 0;
  if (shells.size() > 1 || (shells[0] != "bash" && shells[0] != "zsh"))
    throw UsageError(fmt::format("{} is no shell that is known here; bash or zsh", io::quote(shells.back())));

  fmt::print("{}", shells[0] == "zsh" ? zsh_start : "");
  fmt::print("# Printed by `warpbert completion {}`.\n_warpbert_commands() {{\n  cat << 'END'\n", shells[0]);
  for (const Command& command : commands()) fmt::print("{}\n", command.name);
  fmt::print("--help\n--version\nEND\n}}\n\n_warpbert_options() {{  # name, tab, type\n  case $1 in\n");
  for (const Command& command : commands()) {
    fmt::print("{})\n    cat << 'END'\n", command.name);
    std::string name = command.name, list = "--list-options";
    char* arguments[] = {name.data(), list.data(), nullptr};
    command.main(2, arguments);  // prints
    fmt::print("END\n    ;;\n");
  }
  fmt::print("{}{}", functions, shells[0] == "zsh" ? zsh_end : "");
  return 0;
}
