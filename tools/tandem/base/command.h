// What every command of tandem has: where it reads and writes, how it finds a
// server, and how it ends. Values; nothing here is shared between threads.

#ifndef TANDEM_TOOLS_TANDEM_BASE_COMMAND_H_
#define TANDEM_TOOLS_TANDEM_BASE_COMMAND_H_

#include <functional>
#include <istream>
#include <memory>
#include <ostream>
#include <string>

#include "CLI/App.hpp"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "services/common/credentials.h"

namespace tandem::cli {

// What a process may end with beside kExitOk, kExitFailed and kExitUsage: as a
// shell shows SIGINT.
inline constexpr int kExitInterrupted = 130;

// Reasons of the command line's own errors, beside those of the service.
inline constexpr char kReasonUsage[] = "USAGE";
inline constexpr char kReasonInterrupted[] = "INTERRUPTED";

// Where a command reads and writes; tests put strings there.
struct Io {
  std::istream* in = nullptr;
  std::ostream* out = nullptr;
  std::ostream* err = nullptr;
  bool err_is_terminal = false;  // somebody reads it as it comes
  bool out_is_terminal = false;  // escape sequences in it would be obeyed
  bool in_is_terminal = false;   // somebody types it
};

// Flags that stand before the subcommand's own.
struct ConnectionFlags {
  std::string coordinator = "127.0.0.1:7070";
  ChannelTlsFiles tls = {};
  bool http_proxy = false;        // go through the proxy of the environment
  std::string key_file = {};      // of the API key; "-": `input`
  std::string key = {};           // once it is read (key_input.h)
  std::istream* input = nullptr;  // the command's
};

// A parsed command line: the chosen subcommand sets `run`.
struct CommandLine {
  ConnectionFlags connection;
  std::function<absl::Status(const Io&)> run;
};

// The wrong use of a flag: RunCommandLine ends with kExitUsage.
absl::Status UsageError(absl::string_view message);
// The turn was ended by Ctrl-C: kExitInterrupted, without a message.
absl::Status InterruptedError();

// `status` as one line, harmless for a terminal: what a user reads after
// "tandem: ".
std::string OneLine(const absl::Status& status);

// `run` is what `line` runs where `command` is chosen, with the flags that were
// parsed until then. `line` outlives `command`.
template <typename Flags>
void RunWhenChosen(CLI::App* command, const std::shared_ptr<Flags>& flags,
                   absl::Status (*run)(const Flags&, const ConnectionFlags&,
                                       const Io&),
                   CommandLine* line) {
  command->callback([flags, line, run] {
    line->run = [flags, line, run](const Io& io) {
      line->connection.input = io.in;
      return run(*flags, line->connection, io);
    };
  });
}

// An option with a default that the help shows; given twice, the last holds.
// `value` outlives `command`.
template <typename T>
CLI::Option* AddValue(CLI::App* command, const char* name, T* value,
                      const CLI::Validator& check, const char* help) {
  return command->add_option(name, *value, help)
      ->take_last()
      ->check(check)
      ->capture_default_str();
}

// Says each new tenth of some progress in [0, 1] on `err`, once: "WHAT 10%".
std::function<void(double)> TellTenths(std::string what, std::ostream* err);

}  // namespace tandem::cli

#endif  // TANDEM_TOOLS_TANDEM_BASE_COMMAND_H_
