// The flags that servers have in common, and the one place that parses flags.
//
// Every long flag can also be set by an environment variable (TANDEM_ and the
// flag in upper case, - as _) and in the file of --config (key = value, INI or
// TOML). The command line comes before the environment, the environment before
// the file.

#ifndef TANDEM_SERVICES_COMMON_SERVER_FLAGS_H_
#define TANDEM_SERVICES_COMMON_SERVER_FLAGS_H_

#include <CLI/CLI.hpp>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "engine/base/status.h"
#include "services/common/credentials.h"
#include "services/common/metrics_flags.h"

namespace tandem {

// Exit codes of every binary.
inline constexpr int kExitOk = 0;
inline constexpr int kExitFailed = 1;
inline constexpr int kExitUsage = 2;

struct ServerFlags {
  std::string listen;  // preset by the caller: its default
  std::string address_file;
  ServerTlsFiles tls;
  bool insecure_listen = false;
  bool reflection = false;
  std::string keys;  // the key file; empty: none
  std::string log_format = "text";
  std::string log_level = "info";
  int drain_timeout_ms = 30000;
  std::string sandbox = "on";
  bool core_dumps = false;
  MetricsFlags metrics;
  std::string metrics_address_file;
};

// Adds those of the flags above to `app` that a server without TLS, keys and
// reflection has, and --config; `flags` outlives it.
void AddPlainServerFlags(CLI::App* app, ServerFlags* flags);
// Adds all flags above and --config to `app`; `flags` outlives it.
void AddServerFlags(CLI::App* app, ServerFlags* flags);

// Parses the command line, the environment and the config file, for all
// options of `app` and not only those above. Nothing where the program goes
// on; else its exit code: 0 after --help, --version or --man (man_page.h),
// kExitUsage after one line on standard error.
std::optional<int> ParseFlags(CLI::App* app, int argc, const char* const* argv);

// The same one line for an error found later: "PROGRAM: MESSAGE"; kExitUsage.
int PrintUsageError(absl::string_view program, const absl::Status& status);

// The checks on ServerFlags that need no parser: listen addresses, and TLS
// files that go together. Errors: INVALID_ARGUMENT.
absl::Status CheckServerFlags(const ServerFlags& flags);

}  // namespace tandem

#endif  // TANDEM_SERVICES_COMMON_SERVER_FLAGS_H_
