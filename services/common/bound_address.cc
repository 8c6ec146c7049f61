#include "services/common/bound_address.h"

#include <memory>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "engine/base/output_file.h"

namespace tandem {

std::string BoundAddress(absl::string_view listen, int port) {
  if (absl::StartsWith(listen, "unix:")) return std::string(listen);
  return absl::StrCat(listen.substr(0, listen.rfind(':')), ":", port);
}

absl::Status WriteAddressFile(const std::string& path,
                              absl::string_view address) {
  const auto write = [&]() -> absl::Status {
    TANDEM_ASSIGN_OR_RETURN(const std::unique_ptr<OutputFile> file,
                            OutputFile::Create(path));
    TANDEM_RETURN_IF_ERROR(file->Append(absl::StrCat(address, "\n")));
    return file->Commit();
  };
  const absl::Status status = write();
  if (status.ok()) return status;
  return absl::InvalidArgumentError(
      absl::StrCat("address file ", std::string(status.message())));
}

}  // namespace tandem
