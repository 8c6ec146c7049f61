// A receipt as JSON, and the file that holds one with the ids of its tokens: an
// object with `receipt`, `token_ids` and, of a chat, `template_date`. What
// `generate --json` prints is one too; its other members mean nothing here.
// Pure functions but for the files; any thread.

#ifndef TANDEM_TOOLS_TANDEM_BASE_RECEIPT_FILE_H_
#define TANDEM_TOOLS_TANDEM_BASE_RECEIPT_FILE_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "engine/base/types.h"
#include "tandem/v1/generation.pb.h"
#include "tools/tandem/base/output.h"
#include "tools/tandem/base/turn_report.h"

namespace tandem::cli {

struct ReceiptFile {
  v1::Receipt receipt;
  // With them a replay names the first that differs.
  std::optional<std::vector<TokenId>> token_ids = {};
  std::string template_date = {};
};

// The fields of the message under their names, as protobuf's JSON has them, but
// 64-bit numbers are numbers.
Json ReceiptJson(const v1::Receipt& receipt);

// Errors: INVALID_ARGUMENT for what is no receipt, and for token ids that have
// another hash than the receipt.
absl::StatusOr<ReceiptFile> ParseReceipt(absl::string_view text);
// The same of a file, which errors name; a usage error where it can not be
// read.
absl::StatusOr<ReceiptFile> ReadReceipt(const std::string& path);

// Errors: FAILED_PRECONDITION where the turn has no receipt, and what keeps the
// file from being written.
absl::Status WriteReceipt(const TurnRecord& record, const std::string& path);

}  // namespace tandem::cli

#endif  // TANDEM_TOOLS_TANDEM_BASE_RECEIPT_FILE_H_
