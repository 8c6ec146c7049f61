#include "tools/tandem/base/receipt_file.h"

#include <google/protobuf/util/json_util.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/check.h"
#include "engine/base/status.h"
#include "services/common/turn_conversion.h"
#include "tools/tandem/base/json_input.h"
#include "tools/tandem/base/text_input.h"

namespace tandem::cli {
namespace {

constexpr char kWhatHelps[] =
    "`tandem generate --receipt FILE` writes a receipt, and --json prints one";

absl::Status NoReceipt(absl::string_view why) {
  return absl::InvalidArgumentError(absl::StrCat(why, "; ", kWhatHelps));
}

}  // namespace

Json ReceiptJson(const v1::Receipt& receipt) {
  google::protobuf::util::JsonPrintOptions as_named;
  as_named.preserve_proto_field_names = true;
  std::string text;
  TANDEM_CHECK(
      google::protobuf::util::MessageToJsonString(receipt, &text, as_named)
          .ok());
  Json json = Json::parse(text);
  json["prompt_tokens"] = receipt.prompt_tokens();
  json["generated_tokens"] = receipt.generated_tokens();
  json["options"]["seed"] = receipt.options().seed();
  return json;
}

absl::StatusOr<ReceiptFile> ParseReceipt(absl::string_view text) {
  TANDEM_ASSIGN_OR_RETURN(const Json json, ParseJsonObject(text));
  const auto receipt = json.find("receipt");
  if (receipt == json.end()) return NoReceipt("has no receipt");
  ReceiptFile file;
  TANDEM_RETURN_IF_ERROR(ReadMessage(*receipt, "receipt", &file.receipt));
  if (file.receipt.prompt_hash().empty() ||
      file.receipt.tokens_hash().empty() ||
      !file.receipt.options().has_seed()) {
    return NoReceipt("is no whole receipt");
  }
  if (const auto date = json.find("template_date");
      date != json.end() && date->is_string()) {
    file.template_date = date->get<std::string>();
  }
  const auto ids = json.find("token_ids");
  if (ids == json.end()) return file;
  TANDEM_ASSIGN_OR_RETURN(file.token_ids, ReadTokenIds(*ids, "token_ids"));
  if (HashOfTokens(*file.token_ids) != file.receipt.tokens_hash()) {
    return absl::InvalidArgumentError(
        "its token_ids are not those of its receipt: one of the two was "
        "changed");
  }
  return file;
}

absl::StatusOr<ReceiptFile> ReadReceipt(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) {
    return UsageError(
        absl::StrCat(path, ": cannot read it: ", std::strerror(errno)));
  }
  TANDEM_ASSIGN_OR_RETURN(const std::string text, ReadAll(&in, path));
  absl::StatusOr<ReceiptFile> file = ParseReceipt(text);
  if (!file.ok()) return Annotate(file.status(), path);
  return file;
}

absl::Status WriteReceipt(const TurnRecord& record, const std::string& path) {
  if (!record.ended.has_receipt()) {
    return absl::FailedPreconditionError(absl::StrCat(
        "--receipt ", path, ": the turn has no receipt: it was ended by ",
        FinishReasonName(record.ended.finish_reason()),
        ", or the service is of a version without receipts"));
  }
  Json json = {{"receipt", ReceiptJson(record.ended.receipt())},
               {"token_ids", record.tokens.token_ids()}};
  if (!record.started.template_date().empty()) {
    json["template_date"] = record.started.template_date();
  }
  std::ofstream out(path, std::ios::binary | std::ios::trunc);
  PrintJson(json, &out);
  out.close();
  if (out) return absl::OkStatus();
  return absl::UnavailableError(absl::StrCat(
      "--receipt ", path, ": cannot write it: ", std::strerror(errno)));
}

}  // namespace tandem::cli
