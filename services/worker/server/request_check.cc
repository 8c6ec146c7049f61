#include "services/worker/server/request_check.h"

#include "absl/strings/str_cat.h"
#include "engine/base/error_reason.h"
#include "services/common/options_conversion.h"

namespace tandem {
namespace {

absl::Status CheckTokens(const WorkerModelInfo& model, const std::string& field,
                         const google::protobuf::RepeatedField<int32_t>& ids) {
  if (ids.empty()) {
    return InvalidField(field, "must hold at least one id", kReasonEmptyPrompt);
  }
  for (int i = 0; i < ids.size(); ++i) {
    if (ids[i] < 0 || ids[i] >= model.vocab_size) {
      return InvalidField(
          absl::StrCat(field, "[", i, "]"),
          absl::StrCat("must be in [0, ", model.vocab_size, "), is ", ids[i]),
          kReasonInvalidToken);
    }
  }
  return absl::OkStatus();
}

// Where the request's tokens go: inside the sequence's room.
absl::Status CheckRange(Position tokens_max, const std::string& name,
                        Position position, int64_t count) {
  if (position < 0 || position > tokens_max) {
    return InvalidField(
        name + ".position",
        absl::StrCat("must be in [0, ", tokens_max, "], is ", position));
  }
  if (count > tokens_max - position) {
    return InvalidField(name + ".tokens",
                        absl::StrCat("end at ", position + count,
                                     ", the sequence holds ", tokens_max),
                        kReasonContextExceeded);
  }
  return absl::OkStatus();
}

absl::Status CheckAdmission(const v1::OpenSequence& open) {
  if (open.tenant().size() > kTenantBytesMax) {
    return InvalidField("open.tenant",
                        absl::StrCat("must be at most ", kTenantBytesMax,
                                     " bytes, is ", open.tenant().size()));
  }
  if (open.queue_timeout_ms() < 0 ||
      open.queue_timeout_ms() > kQueueTimeoutMsMax) {
    return InvalidField("open.queue_timeout_ms",
                        absl::StrCat("must be in [0, ", kQueueTimeoutMsMax,
                                     "], is ", open.queue_timeout_ms()));
  }
  return absl::OkStatus();
}

absl::Status CheckRole(const WorkerModelInfo& model, v1::WorkerRole role,
                       absl::string_view what) {
  if (model.role == role) return absl::OkStatus();
  return WrongState(absl::StrCat(
      what, " is not for a ",
      model.role == v1::WORKER_ROLE_DRAFT ? "draft" : "target", " worker"));
}

}  // namespace

absl::Status CheckTag(const v1::StreamTag& tag) {
  if (tag.session_id().size() <= kSessionIdBytesMax) return absl::OkStatus();
  return InvalidField("tag.session_id",
                      absl::StrCat("must be at most ", kSessionIdBytesMax,
                                   " bytes, is ", tag.session_id().size()));
}

absl::StatusOr<StreamOpen> ReadOpen(const WorkerModelInfo& model,
                                    const v1::OpenSequence& open) {
  if (!open.model_id().empty() && open.model_id() != model.model_id) {
    return UnknownModel(
        absl::StrCat("this worker has the model ", model.model_id, " only"));
  }
  if (!open.fingerprint().empty() && open.fingerprint() != model.fingerprint) {
    return absl::FailedPreconditionError(
        absl::StrCat("this worker's fingerprint is ", model.fingerprint));
  }
  TANDEM_RETURN_IF_ERROR(CheckTokens(model, "open.tokens", open.tokens()));
  if (open.generated_from() < 1 || open.generated_from() > open.tokens_size()) {
    return InvalidField("open.generated_from",
                        absl::StrCat("must be in [1, ", open.tokens_size(),
                                     "], is ", open.generated_from()));
  }
  if (open.tokens_max() > model.context_max) {
    return InvalidField("open.tokens_max",
                        absl::StrCat("must be at most ", model.context_max,
                                     ", is ", open.tokens_max()),
                        kReasonContextExceeded);
  }
  if (open.tokens_max() < open.tokens_size()) {
    return InvalidField(
        "open.tokens_max",
        absl::StrCat("must be at least the ", open.tokens_size(),
                     " tokens, is ", open.tokens_max()),
        kReasonContextExceeded);
  }
  if (!open.options().has_seed()) {
    return InvalidField("open.options.seed", "must be set");
  }
  TANDEM_RETURN_IF_ERROR(CheckAdmission(open));
  StreamOpen result;
  SequenceDecoderOptions& decoder = result.decoder;
  decoder.tokens.assign(open.tokens().begin(), open.tokens().end());
  decoder.generated_from = open.generated_from();
  decoder.tokens_max = open.tokens_max();
  TANDEM_ASSIGN_OR_RETURN(decoder.options,
                          ParseGenOptions(open.options(), model.vocab_size));
  decoder.tenant = open.tenant();
  result.tenant = open.tenant();
  result.queue_timeout = absl::Milliseconds(open.queue_timeout_ms());
  return result;
}

absl::StatusOr<ComputeRequest> ReadPropose(const WorkerModelInfo& model,
                                           Position tokens_max,
                                           const v1::ProposeTokens& propose) {
  TANDEM_RETURN_IF_ERROR(CheckRole(model, v1::WORKER_ROLE_DRAFT, "propose"));
  TANDEM_RETURN_IF_ERROR(
      CheckTokens(model, "propose.tokens", propose.tokens()));
  TANDEM_RETURN_IF_ERROR(CheckRange(tokens_max, "propose", propose.position(),
                                    propose.tokens_size()));
  if (propose.draft_length() < 1 ||
      propose.draft_length() > kDraftLengthLimit) {
    return InvalidField("propose.draft_length",
                        absl::StrCat("must be in [1, ", kDraftLengthLimit,
                                     "], is ", propose.draft_length()));
  }
  ComputeRequest request;
  request.kind = ComputeRequest::Kind::kPropose;
  request.position = propose.position();
  request.tokens.assign(propose.tokens().begin(), propose.tokens().end());
  request.draft_length = propose.draft_length();
  return request;
}

absl::StatusOr<ComputeRequest> ReadVerify(const WorkerModelInfo& model,
                                          Position tokens_max,
                                          const v1::VerifyTokens& verify) {
  TANDEM_RETURN_IF_ERROR(CheckRole(model, v1::WORKER_ROLE_TARGET, "verify"));
  TANDEM_RETURN_IF_ERROR(CheckTokens(model, "verify.tokens", verify.tokens()));
  TANDEM_RETURN_IF_ERROR(CheckRange(tokens_max, "verify", verify.position(),
                                    verify.tokens_size()));
  ComputeRequest request;
  request.kind = ComputeRequest::Kind::kVerify;
  request.position = verify.position();
  request.tokens.assign(verify.tokens().begin(), verify.tokens().end());
  request.draft.assign(verify.draft().begin(), verify.draft().end());
  return request;
}

}  // namespace tandem
