#include "services/common/bound_address.h"

#include <unistd.h>

#include <cstdio>
#include <fstream>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace tandem {

std::string BoundAddress(absl::string_view listen, int port) {
  if (absl::StartsWith(listen, "unix:")) return std::string(listen);
  return absl::StrCat(listen.substr(0, listen.rfind(':')), ":", port);
}

absl::Status WriteAddressFile(const std::string& path,
                              absl::string_view address) {
  const std::string temporary = absl::StrCat(path, ".", getpid(), ".tmp");
  std::ofstream file(temporary, std::ios::trunc);
  file << address << "\n";
  file.close();
  if (!file || std::rename(temporary.c_str(), path.c_str()) != 0) {
    std::remove(temporary.c_str());
    return absl::InvalidArgumentError(absl::StrCat(
        "--address-file ", path, ": can not be written; name another path"));
  }
  return absl::OkStatus();
}

}  // namespace tandem
