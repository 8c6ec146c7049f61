#include "tools/tandem/base/completion_script.h"

#include <algorithm>
#include <functional>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"

namespace tandem::cli {
namespace {

// NAME is the program's.
constexpr char kBashHead[] =
    R"(# bash completion of NAME, made by `NAME completion bash`; in ~/.bashrc:
#   source <(NAME completion bash)
)";
constexpr char kBash[] = R"(_NAME() {
  local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]}
  local at=NAME position=0 i values
  COMPREPLY=()
  # --flag=value is three words to bash.
  if [[ $word == = ]]; then
    word=
  elif [[ $before == = ]]; then
    before=${COMP_WORDS[COMP_CWORD-2]}
  fi
  for ((i = 1; i < COMP_CWORD; ++i)); do
    if [[ " $(_NAME_commands "$at") " == *" ${COMP_WORDS[i]} "* ]]; then
      at+=" ${COMP_WORDS[i]}"
    elif [[ ${COMP_WORDS[i]} == -* ]]; then
      [[ -z $(_NAME_values "$at" "${COMP_WORDS[i]}") ]] || ((++i))
      [[ ${COMP_WORDS[i]} != = ]] || ((++i))
    else
      ((++position))
    fi
  done
  values=$(_NAME_values "$at" "$before")
  if [[ -z $values && $word == -* ]]; then
    values=$(_NAME_flags "$at")
  elif [[ -z $values ]]; then
    values=$(_NAME_commands "$at")
    [[ -n $values ]] || values=$(_NAME_values "$at" "$position")
  fi
  case $values in
    FILE) ;; # as bash does it by default
    NOTHING | '') compopt +o default ;;
    *)
      compopt +o default
      mapfile -t COMPREPLY < <(compgen -W "$values" -- "$word")
      ;;
  esac
}
complete -o default -F _NAME NAME
)";

constexpr char kZshHead[] = R"(#compdef NAME
# zsh completion of NAME, made by `NAME completion zsh`, for a file _NAME in a
# folder of $fpath.
)";
constexpr char kZsh[] = R"(_NAME() {
  local word=${words[CURRENT]} before=${words[CURRENT-1]}
  local at=NAME position=0 i values
  if [[ $word == --*=* ]]; then
    before=${word%%=*}
    word=${word#*=}
    compset -P '*='
  fi
  for ((i = 2; i < CURRENT; ++i)); do
    if [[ " $(_NAME_commands "$at") " == *" ${words[i]} "* ]]; then
      at+=" ${words[i]}"
    elif [[ ${words[i]} == -* ]]; then
      [[ ${words[i]} == *=* || -z $(_NAME_values "$at" "${words[i]}") ]] ||
        ((++i))
    else
      ((++position))
    fi
  done
  values=$(_NAME_values "$at" "$before")
  if [[ -z $values && $word == -* ]]; then
    values=$(_NAME_flags "$at")
  elif [[ -z $values ]]; then
    values=$(_NAME_commands "$at")
    [[ -n $values ]] || values=$(_NAME_values "$at" "$position")
  fi
  case $values in
    FILE) _files ;;
    NOTHING | '') ;;
    *) compadd -- ${=values} ;;
  esac
}
_NAME "$@"
)";

constexpr char kFishHead[] =
    R"(# fish completion of NAME, made by `NAME completion fish`, for the file
# ~/.config/fish/completions/NAME.fish
function __NAME_command
    set -l at NAME
    for word in (commandline -opc)[2..-1]
        if contains -- "$at $word" COMMANDS
            set at "$at $word"
        end
    end
    echo $at
end
function __NAME_at
    test (__NAME_command) = "$argv[1]"
end
function __NAME_below
    __NAME_at "$argv[1]"; or string match -q -- "$argv[1] *" (__NAME_command)
end
complete -c NAME -f
)";

std::string WithName(absl::string_view script, const CommandEntry& program) {
  return absl::StrReplaceAll(script, {{"NAME", program.name()}});
}

void ForEach(const CommandEntry& command,
             const std::function<void(const CommandEntry&)>& visit) {
  visit(command);
  for (const CommandEntry& below : command.commands) ForEach(below, visit);
}

std::vector<std::string> CommandNames(const CommandEntry& command) {
  std::vector<std::string> names;
  for (const CommandEntry& below : command.commands) {
    names.push_back(below.name());
  }
  return names;
}

// What the functions of the scripts say of a value.
std::string ValueWords(const ArgumentEntry& argument) {
  switch (argument.kind) {
    case ValueKind::kNone:
      return "";
    case ValueKind::kNumber:
      return "NOTHING";
    case ValueKind::kChoice:
      return absl::StrJoin(argument.choices, " ");
    case ValueKind::kText:
      return "FILE";
  }
  return "";
}

// One case of a shell's `case`: `patterns` are quoted.
void AppendCase(absl::string_view patterns, absl::string_view words,
                std::string* script) {
  absl::StrAppend(script, "    ", patterns, ") echo '", words, "' ;;\n");
}

std::string Function(const CommandEntry& program, absl::string_view what,
                     absl::string_view subject, absl::string_view cases) {
  return absl::StrCat("_", program.name(), "_", what, "() {\n  case ", subject,
                      " in\n", cases, "  esac\n}\n");
}

// Flags of `command` and of those above it, which may stand after it too.
void AppendFlags(const CommandEntry& command,
                 const std::vector<std::string>& above, std::string* cases) {
  std::vector<std::string> names = above;
  for (const ArgumentEntry& flag : command.flags) {
    for (const std::string& name : flag.names) {
      // Each command has --help.
      if (std::find(names.begin(), names.end(), name) == names.end()) {
        names.push_back(name);
      }
    }
  }
  AppendCase(absl::StrCat("'", command.path, "'"), absl::StrJoin(names, " "),
             cases);
  for (const CommandEntry& below : command.commands) {
    AppendFlags(below, names, cases);
  }
}

// The deepest commands first: a flag of theirs may have the name of one above.
void AppendValues(const CommandEntry& command, std::string* cases) {
  for (const CommandEntry& below : command.commands) {
    AppendValues(below, cases);
  }
  for (const ArgumentEntry& flag : command.flags) {
    if (flag.kind == ValueKind::kNone) continue;
    for (const std::string& name : flag.names) {
      AppendCase(absl::StrCat("'", command.path, " ", name, "' | '",
                              command.path, " '*' ", name, "'"),
                 ValueWords(flag), cases);
    }
  }
  for (size_t i = 0; i < command.positionals.size(); ++i) {
    AppendCase(absl::StrCat("'", command.path, " ", i, "'"),
               ValueWords(command.positionals[i]), cases);
  }
}

// What bash and zsh share: functions that print words. NAME_commands COMMAND,
// NAME_flags COMMAND, and NAME_values COMMAND FLAG or COMMAND POSITION; nothing
// for a switch.
std::string Tables(const CommandEntry& program) {
  std::string commands;
  ForEach(program, [&commands](const CommandEntry& command) {
    if (command.commands.empty()) return;
    AppendCase(absl::StrCat("'", command.path, "'"),
               absl::StrJoin(CommandNames(command), " "), &commands);
  });
  std::string flags;
  AppendFlags(program, {}, &flags);
  std::string values;
  AppendValues(program, &values);
  return absl::StrCat(Function(program, "commands", "$1", commands),
                      Function(program, "flags", "$1", flags),
                      Function(program, "values", "\"$1 $2\"", values));
}

std::string FishQuoted(absl::string_view text) {
  return absl::StrCat(
      "'", absl::StrReplaceAll(text, {{"\\", "\\\\"}, {"'", "\\'"}}), "'");
}

// What follows `complete -c NAME -n CONDITION` for a value.
std::string FishValue(const ArgumentEntry& argument) {
  switch (argument.kind) {
    case ValueKind::kNone:
      return "";
    case ValueKind::kNumber:
      return " -x";
    case ValueKind::kChoice:
      return absl::StrCat(" -x -a ", FishQuoted(ValueWords(argument)));
    case ValueKind::kText:
      return " -r -F";
  }
  return "";
}

void AppendFish(const CommandEntry& program, const CommandEntry& command,
                std::string* script) {
  const std::string begin =
      absl::StrCat("complete -c ", program.name(), " -n ");
  const std::string at =
      absl::StrCat(begin, FishQuoted(absl::StrCat("__", program.name(), "_at '",
                                                  command.path, "'")));
  const std::string below = absl::StrCat(
      begin, FishQuoted(absl::StrCat("__", program.name(), "_below '",
                                     command.path, "'")));
  for (const CommandEntry& sub : command.commands) {
    absl::StrAppend(script, at, " -a ", sub.name(), " -d ",
                    FishQuoted(FirstClause(sub.description)), "\n");
  }
  for (const ArgumentEntry& flag : command.flags) {
    absl::StrAppend(script, below);
    for (const std::string& name : flag.names) {
      const bool is_long = name.size() > 2;
      absl::StrAppend(script, is_long ? " -l " : " -s ",
                      name.substr(is_long ? 2 : 1));
    }
    absl::StrAppend(script, FishValue(flag), " -d ",
                    FishQuoted(FirstClause(flag.help)), "\n");
  }
  for (const ArgumentEntry& positional : command.positionals) {
    if (positional.kind == ValueKind::kChoice) {
      absl::StrAppend(script, at, " -a ", FishQuoted(ValueWords(positional)),
                      "\n");
    } else if (positional.kind == ValueKind::kText) {
      absl::StrAppend(script, at, " -F\n");
    }
  }
}

}  // namespace

std::string BashCompletion(const CommandEntry& program) {
  return absl::StrCat(WithName(kBashHead, program), Tables(program),
                      WithName(kBash, program));
}

std::string ZshCompletion(const CommandEntry& program) {
  return absl::StrCat(WithName(kZshHead, program), Tables(program),
                      WithName(kZsh, program));
}

std::string FishCompletion(const CommandEntry& program) {
  std::string paths;
  ForEach(program, [&paths, &program](const CommandEntry& command) {
    if (&command == &program) return;
    absl::StrAppend(&paths, paths.empty() ? "" : " ", FishQuoted(command.path));
  });
  std::string script =
      absl::StrReplaceAll(WithName(kFishHead, program), {{"COMMANDS", paths}});
  ForEach(program, [&script, &program](const CommandEntry& command) {
    AppendFish(program, command, &script);
  });
  return script;
}

}  // namespace tandem::cli
