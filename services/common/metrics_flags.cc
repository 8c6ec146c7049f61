#include "services/common/metrics_flags.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "services/common/address.h"
#include "services/common/credentials.h"

namespace tandem {

absl::Status CheckMetricsFlags(const MetricsFlags& flags) {
  if (flags.listen.empty()) return absl::OkStatus();
  if (absl::StartsWith(flags.listen, kUnixPrefix)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "--metrics-listen ", flags.listen, ": takes host:port only"));
  }
  const absl::Status any_host =
      CheckListenAddress(flags.listen, {}, /*allow_insecure=*/true);
  if (!any_host.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat("--metrics-listen ", flags.listen,
                     ": is not host:port or [ipv6]:port; e.g. 127.0.0.1:0"));
  }
  if (CheckListenAddress(flags.listen, {}, flags.insecure_listen).ok()) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "--metrics-listen ", flags.listen,
      ": others can reach this address, and metrics have no TLS; give "
      "--insecure-metrics-listen where the network is trusted"));
}

}  // namespace tandem
