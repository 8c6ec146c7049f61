// tandem health: asks any of the three servers how it is.

#include <algorithm>
#include <memory>
#include <optional>
#include <string>

#include "CLI/App.hpp"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "engine/base/monotonic_clock.h"
#include "engine/base/status.h"
#include "services/common/flag_messages.h"
#include "services/common/flag_values.h"
#include "services/common/worker_protocol.h"
#include "tools/tandem/base/connection.h"
#include "tools/tandem/base/health_check.h"
#include "tools/tandem/base/output.h"
#include "tools/tandem/command_line.h"

namespace tandem::cli {
namespace {

// One question, with the time to connect (1.5 s over TLS on a link of 300 ms):
// a server that is alive answers within this.
constexpr absl::Duration kCheckTimeout = absl::Milliseconds(2500);
// The last question and the search for the reason of its failure. Below the
// five seconds that the probes of deploy/k8s have, so that the reason is in
// their events.
constexpr absl::Duration kAnswerTimeout = absl::Seconds(4);
constexpr int64_t kWaitMsMax = int64_t{24} * 3600 * 1000;
constexpr absl::Duration kPollInterval = absl::Milliseconds(100);

struct HealthFlags {
  std::optional<std::string> given_address = {};
  std::string address = {};  // that is asked
  std::string service = kHealthReady;
  int64_t wait_ms = 0;
  bool json = false;
};

using grpc::health::v1::HealthCheckResponse;

struct LastAnswer {
  absl::StatusOr<ServingState> serving;
  absl::Time asked;  // of MonotonicNow
};

// The answer, or the error of the last question once the time is over.
LastAnswer WaitForHealth(const std::shared_ptr<grpc::Channel>& channel,
                         const HealthFlags& flags) {
  const absl::Time end = MonotonicNow() + absl::Milliseconds(flags.wait_ms);
  while (true) {
    LastAnswer last = {.serving = HealthCheckResponse::UNKNOWN,
                       .asked = MonotonicNow()};
    last.serving = CheckHealth(channel, flags.service, kCheckTimeout);
    const bool good =
        last.serving.ok() && *last.serving == HealthCheckResponse::SERVING;
    if (good || MonotonicNow() >= end) return last;
    absl::SleepFor(std::min(kPollInterval, end - MonotonicNow()));
  }
}

absl::Status Explain(const LastAnswer& last, const HealthFlags& flags,
                     const ConnectionFlags& connection) {
  const absl::Status& status = last.serving.status();
  if (absl::IsNotFound(status)) {
    return absl::NotFoundError(
        absl::StrCat("the server at ", flags.address,
                     " has no health service \"", flags.service, "\": ask for ",
                     kHealthReady, ", ", kHealthStarted, " or \"\""));
  }
  if (absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status)) {
    return ExplainUnreachable(
        {.who = flags.address,
         .address = flags.address,
         .hint = "is the server started, and is this its address?",
         .probe_timeout = last.asked + kAnswerTimeout - MonotonicNow()},
        connection, status);
  }
  return Annotate(status, flags.address);
}

absl::Status RunHealth(const HealthFlags& given,
                       const ConnectionFlags& connection, const Io& io) {
  HealthFlags flags = given;
  const bool is_given = flags.given_address.has_value();
  flags.address = is_given ? *flags.given_address : connection.coordinator;
  // The names of probes need no key, and go to servers that get none.
  ConnectionFlags asking = connection;
  if (IsProbeName(flags.service)) asking.key_file.clear();
  TANDEM_ASSIGN_OR_RETURN(
      const std::shared_ptr<grpc::Channel> channel,
      Connect(is_given ? "address" : "--coordinator", flags.address, asking));
  const LastAnswer last = WaitForHealth(channel, flags);
  if (!last.serving.ok()) return Explain(last, flags, connection);
  const ServingState serving = *last.serving;
  std::string state = HealthCheckResponse::ServingStatus_Name(serving);
  if (state.empty()) state = "UNKNOWN";  // a state of a later version
  if (flags.json) {
    PrintJson({{"address", flags.address},
               {"service", flags.service},
               {"status", state}},
              io.out);
  } else {
    *io.out << state << "\n";
  }
  if (serving == HealthCheckResponse::SERVING) return absl::OkStatus();
  return absl::UnavailableError(absl::StrCat(
      flags.address, " is ", state, " for \"", flags.service,
      "\": it loads, drains or lacks a worker; its log says which"));
}

}  // namespace

void AddHealthCommand(CLI::App* app, CommandLine* line) {
  auto flags = std::make_shared<HealthFlags>();
  CLI::App* command = app->add_subcommand(
      "health", "Prints the health of a server; exit code 0 if SERVING.");
  command->add_option("address", flags->given_address,
                      "A coordinator or worker; default: --coordinator");
  command
      ->add_option("--service", flags->service,
                   absl::StrCat(kHealthReady, ": takes work; ", kHealthStarted,
                                ": has loaded; \"\": is alive"))
      ->capture_default_str();
  AddValue(command, "--wait-ms", &flags->wait_ms, WholeNumber(0, kWaitMsMax),
           "Waits this long for SERVING");
  command->add_flag("--json", flags->json,
                    "Prints an object with address, service and status");
  SetExamples(command, {"tandem health", "tandem health 127.0.0.1:7071",
                        "tandem health unix:/tmp/worker.sock --wait-ms 60000"});
  RunWhenChosen(command, flags, RunHealth, line);
}

}  // namespace tandem::cli
