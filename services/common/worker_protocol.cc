#include "services/common/worker_protocol.h"

#include "absl/strings/str_cat.h"
#include "engine/base/utf8.h"

namespace tandem {

absl::Status CheckModelId(absl::string_view id) {
  if (id.empty() || id.size() > kModelIdBytesMax) {
    return absl::InvalidArgumentError(absl::StrCat(
        "a model id has 1 to ", kModelIdBytesMax, " bytes, has ", id.size()));
  }
  if (EscapeToLine(id) == id) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("a model id is UTF-8 without control characters and line "
                   "ends, is ",
                   EscapeToLine(id)));
}

}  // namespace tandem
