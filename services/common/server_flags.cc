#include "services/common/server_flags.h"

#include <algorithm>
#include <cstdlib>
#include <iostream>
#include <istream>
#include <map>
#include <memory>
#include <sstream>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "engine/base/utf8.h"
#include "services/common/flag_messages.h"
#include "services/common/flag_values.h"
#include "services/common/manual/man_page.h"
#include "services/common/version.h"

namespace tandem {
namespace {

constexpr int kDrainTimeoutMsMax = 24 * 60 * 60 * 1000;
// More is no file of flags: a device, a model.
constexpr size_t kConfigBytesMax = size_t{1} << 20;

std::string EnvironmentName(absl::string_view flag) {
  return absl::StrCat(
      "TANDEM_",
      absl::StrReplaceAll(absl::AsciiStrToUpper(flag), {{"-", "_"}}));
}

bool IsInEnvironment(const std::string& name) {
  const char* value = std::getenv(name.c_str());
  return value != nullptr && *value != '\0';
}

// The first line of each key.
std::map<std::string, int> LinesOfKeys(const std::string& text) {
  std::map<std::string, int> lines;
  int number = 0;
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    ++number;
    line = absl::StripAsciiWhitespace(line.substr(0, line.find('=')));
    if (line.size() > 1 && line.front() == '"' && line.back() == '"') {
      line = line.substr(1, line.size() - 2);
    }
    if (!line.empty()) lines.emplace(line, number);
  }
  return lines;
}

// CLI11 lets the file win over the environment; here what the environment has
// is not read from the file. Sections would name subcommands: there are none.
class EnvironmentFirstConfig : public CLI::ConfigBase {
 public:
  // `sources` outlives this and learns where keys stand.
  explicit EnvironmentFirstConfig(FlagSources* sources) : sources_(sources) {}

  std::vector<CLI::ConfigItem> from_config(std::istream& input) const override {
    std::string text(kConfigBytesMax + 1, '\0');
    input.read(text.data(), static_cast<std::streamsize>(text.size()));
    if (input.bad()) throw CLI::FileError("");
    text.resize(static_cast<size_t>(input.gcount()));
    if (text.size() > kConfigBytesMax) {
      throw CLI::ConfigError(absl::StrCat("the file has more than ",
                                          kConfigBytesMax,
                                          " bytes: it is no file of flags"));
    }
    sources_->config_lines = LinesOfKeys(text);
    std::istringstream limited(text);
    std::vector<CLI::ConfigItem> found = ConfigBase::from_config(limited);
    for (const CLI::ConfigItem& item : found) {
      if (item.parents.empty()) continue;
      throw CLI::ConfigError("sections are not known, remove [" +
                             item.parents[0] + "]");
    }
    std::erase_if(found, [](const CLI::ConfigItem& item) {
      return IsInEnvironment(EnvironmentName(item.name));
    });
    return found;
  }

 private:
  FlagSources* const sources_;
};

void SetEnvironmentNames(CLI::App* app) {
  for (CLI::Option* option : app->get_options()) {
    const std::vector<std::string>& names = option->get_lnames();
    if (names.empty() || names[0] == "help" || names[0] == "version") continue;
    option->envname(EnvironmentName(names[0]));
  }
}

// An error in one line: the parser's text may have several.
int PrintOneLine(absl::string_view program, std::string message) {
  absl::StripAsciiWhitespace(&message);
  std::cerr << program << ": "
            << EscapeToLine(absl::StrReplaceAll(message, {{"\n", " "}}))
            << std::endl;
  return kExitUsage;
}

}  // namespace

void AddPlainServerFlags(CLI::App* app, ServerFlags* flags) {
  app->add_option("--listen", flags->listen,
                  "Address to listen at: host:port, [ipv6]:port or unix:PATH; "
                  "port 0 takes any free one")
      ->capture_default_str();
  app->add_option("--address-file", flags->address_file,
                  "File to write the bound address to, once listening");
  app->add_option("--metrics-listen", flags->metrics.listen,
                  "host:port to serve metrics at (HTTP, GET /metrics, in "
                  "Prometheus' text form); absent: none");
  app->add_flag("--insecure-metrics-listen", flags->metrics.insecure_listen,
                "Allow an address for metrics that others can reach");
  app->add_option("--metrics-address-file", flags->metrics_address_file,
                  "File to write the bound address of --metrics-listen to");
  app->add_option("--log-format", flags->log_format, "text or json")
      ->check(OneOf({"text", "json"}))
      ->capture_default_str();
  app->add_option("--log-level", flags->log_level,
                  "debug, info, warning or error")
      ->check(OneOf({"debug", "info", "warning", "error"}))
      ->capture_default_str();
  app->add_option("--drain-timeout-ms", flags->drain_timeout_ms,
                  "Milliseconds that running work gets to finish at SIGTERM")
      ->check(WholeNumber(0, kDrainTimeoutMsMax))
      ->capture_default_str();
  app->add_option("--sandbox", flags->sandbox,
                  "on: the process gives up what a server does not need "
                  "(capabilities, files but those of its flags, system calls); "
                  "report: the same, but no system call ends the process; or "
                  "off")
      ->check(OneOf({"on", "report", "off"}))
      ->capture_default_str();
  app->add_flag("--core-dumps", flags->core_dumps,
                "Allow core dumps, which hold prompts and keys, and debuggers");
  app->set_config("--config", "", "File of flags, key = value (INI or TOML)");
}

void AddServerFlags(CLI::App* app, ServerFlags* flags) {
  app->add_option("--tls-cert", flags->tls.cert,
                  "PEM certificate chain of this server; turns TLS on");
  app->add_option("--tls-key", flags->tls.key, "PEM private key of --tls-cert");
  app->add_option("--tls-client-ca", flags->tls.client_ca,
                  "PEM roots; clients must show a certificate signed by one");
  app->add_flag("--insecure-listen", flags->insecure_listen,
                "Allow an address that others can reach without TLS");
  app->add_flag("--reflection", flags->reflection,
                "Serve gRPC reflection, for grpcurl and the like");
  app->add_option("--keys", flags->keys,
                  "File of API keys (see tandem keys), read again when it "
                  "changes: callers must show one, and others are refused");
  AddPlainServerFlags(app, flags);
}

std::optional<int> ParseFlags(CLI::App* app, int argc,
                              const char* const* argv) {
  app->set_version_flag("-v,--version", kTandemVersion);
  FlagSources sources;
  sources.arguments.assign(argv + std::min(argc, 1), argv + argc);
  app->config_formatter(std::make_shared<EnvironmentFirstConfig>(&sources));
  app->allow_config_extras(CLI::config_extras_mode::error);
  SetEnvironmentNames(app);
  if (sources.arguments == std::vector<std::string>{kManFlag}) {
    std::cout << ManPage(DescribeCommand(*app), kTandemVersion);
    return kExitOk;
  }
  try {
    app->parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app->exit(error);
    if (app->get_config_ptr() != nullptr) {
      sources.config_file = app->get_config_ptr()->as<std::string>();
    }
    return PrintOneLine(app->get_name(),
                        FlagErrorMessage(*app, error, sources));
  }
  return std::nullopt;
}

int PrintUsageError(absl::string_view program, const absl::Status& status) {
  return PrintOneLine(program, std::string(status.message()));
}

absl::Status CheckServerFlags(const ServerFlags& flags) {
  TANDEM_RETURN_IF_ERROR(
      CheckListenAddress(flags.listen, flags.tls, flags.insecure_listen));
  TANDEM_RETURN_IF_ERROR(CheckMetricsFlags(flags.metrics));
  return CheckTlsFlags(flags.tls);
}

}  // namespace tandem
