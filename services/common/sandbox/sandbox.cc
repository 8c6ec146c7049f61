#include "services/common/sandbox/sandbox.h"

#include <spdlog/spdlog.h>

#include <filesystem>
#include <iterator>
#include <string>
#include <system_error>

#include "engine/base/check.h"
#include "services/common/sandbox/privileges.h"

namespace tandem {
namespace {

// What a process reads whatever its flags: libraries (of name look-up, loaded
// when they are needed), the machine and itself, names and time.
constexpr const char* kReadByAll[] = {
    "/lib",
    "/lib64",
    "/usr",
    "/proc",
    "/sys",
    "/dev/null",
    "/dev/random",
    "/dev/urandom",
    "/etc/gai.conf",
    "/etc/host.conf",
    "/etc/hosts",
    "/etc/ld.so.cache",
    "/etc/localtime",
    "/etc/nsswitch.conf",
    "/etc/resolv.conf",
    "/etc/services",
    "/etc/ssl/openssl.cnf",
};

// A thread that is there already would keep all that is given up.
void CheckOneThread() {
  std::error_code error;
  std::filesystem::directory_iterator threads("/proc/self/task", error);
  if (error) return;  // no /proc
  TANDEM_CHECK(std::distance(begin(threads), end(threads)) == 1);
}

void AddServerFiles(const ServerFlags& flags, FileAccess* access) {
  for (const char* path : kReadByAll) access->read.emplace_back(path);
  access->ReadBeside(flags.tls.cert);
  access->ReadBeside(flags.tls.key);
  access->ReadBeside(flags.tls.client_ca);
  access->ReadBeside(flags.keys);
  access->WriteBeside(flags.address_file);
  access->WriteBeside(flags.metrics_address_file);
  access->ListenAt(flags.listen);
}

}  // namespace

Sandbox::Sandbox(const ServerFlags& flags, FileAccess access) : flags_(flags) {
  if (kHasSanitizer) return;
  CheckOneThread();
  if (!flags_.core_dumps) Note(ForbidCoreDumps());
  if (!is_on()) return;
  AddServerFiles(flags_, &access);
  Note(DropCapabilities());
  Note(ForbidNewPrivileges());
  Note(LimitFileAccess(access));
}

bool Sandbox::is_on() const {
  return !kHasSanitizer && flags_.sandbox != "off";
}

void Sandbox::Note(const absl::Status& status) {
  if (!status.ok()) problems_.emplace_back(status.message());
}

void Sandbox::Seal(SystemCallPolicy policy) {
  if (is_on()) {
    policy.forbidden =
        flags_.sandbox == "report" ? Forbidden::kRefused : Forbidden::kKills;
    policy.line =
        flags_.log_format == "json" ? RefusalLine::kJson : RefusalLine::kText;
    Note(LimitSystemCalls(policy));
  }
  for (const std::string& problem : problems_) {
    spdlog::warn("sandbox: incomplete: {}", problem);
  }
  if (kHasSanitizer) {
    spdlog::info("sandbox: off, this program was built with a sanitizer");
  } else if (!is_on()) {
    spdlog::warn("sandbox: off, by --sandbox");
  } else if (problems_.empty()) {
    spdlog::info("sandbox: files and system calls are limited");
  }
}

}  // namespace tandem
