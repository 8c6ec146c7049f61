// tandem completion: scripts for shells.

#include <memory>
#include <string>

#include "CLI/App.hpp"
#include "services/common/flag_messages.h"
#include "services/common/flag_values.h"
#include "services/common/manual/command_tree.h"
#include "tools/tandem/base/completion_script.h"
#include "tools/tandem/command_line.h"

namespace tandem::cli {
namespace {

std::string Script(const std::string& shell, const CommandEntry& program) {
  if (shell == "bash") return BashCompletion(program);
  if (shell == "zsh") return ZshCompletion(program);
  return FishCompletion(program);
}

}  // namespace

void AddCompletionCommand(CLI::App* app, CommandLine* line) {
  auto shell = std::make_shared<std::string>();
  CLI::App* command = app->add_subcommand(
      "completion",
      "Prints a script by which a shell completes commands, flags, values and "
      "files.");
  command->add_option("SHELL", *shell, "The shell")
      ->check(OneOf({"bash", "zsh", "fish"}))
      ->required();
  SetExamples(command, {"tandem completion bash > "
                        "~/.local/share/bash-completion/completions/tandem",
                        "tandem completion zsh > ~/.zfunc/_tandem",
                        "tandem completion fish > "
                        "~/.config/fish/completions/tandem.fish"});
  command->callback([shell, app, line] {
    // While the tree is there: it ends with the parsing.
    const std::string script = Script(*shell, DescribeCommand(*app));
    line->run = [script](const Io& io) {
      *io.out << script;
      return absl::OkStatus();
    };
  });
}

}  // namespace tandem::cli
