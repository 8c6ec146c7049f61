#include "services/worker/server/request_check.h"

#include "absl/strings/str_cat.h"
#include "engine/base/error_reason.h"
#include "services/common/options_conversion.h"
#include "services/common/worker_protocol.h"

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

absl::Status CheckAdmission(const v1::OpenSequence& open) {
  if (open.session_id().size() > kSessionIdBytesMax) {
    return InvalidField("open.session_id",
                        absl::StrCat("must be at most ", kSessionIdBytesMax,
                                     " bytes, is ", open.session_id().size()));
  }
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
  // Written so that a NaN is refused too.
  if (!(open.tenant_kv_share() >= 0 && open.tenant_kv_share() <= 1)) {
    return InvalidField(
        "open.tenant_kv_share",
        absl::StrCat("must be in [0, 1], is ", open.tenant_kv_share()));
  }
  return absl::OkStatus();
}

absl::Status CheckScores(const WorkerModelInfo& model,
                         const v1::OpenSequence& open) {
  if (open.score_from() < 0 || open.score_from() >= open.tokens_size()) {
    return InvalidField("open.score_from",
                        absl::StrCat("must be below the ", open.tokens_size(),
                                     " tokens, is ", open.score_from()));
  }
  if (open.score_from() > 0 && model.role != v1::WORKER_ROLE_TARGET) {
    return WrongState("open.score_from is not for a draft worker");
  }
  const int most = open.score_from() > 0 ? kLogprobsLimit : 0;
  if (open.score_alternatives() < 0 || open.score_alternatives() > most) {
    return InvalidField("open.score_alternatives",
                        absl::StrCat("must be in [0, ", most, "], is ",
                                     open.score_alternatives()));
  }
  return absl::OkStatus();
}

// What propose and verify have in common: the model's role, and tokens inside
// the sequence.
template <typename Message>
absl::Status CheckMessage(const WorkerModelInfo& model, v1::WorkerRole role,
                          Position tokens_max, const std::string& name,
                          const Message& message) {
  if (model.role != role) {
    return WrongState(absl::StrCat(
        name, " is not for a ",
        model.role == v1::WORKER_ROLE_DRAFT ? "draft" : "target", " worker"));
  }
  TANDEM_RETURN_IF_ERROR(
      CheckTokens(model, name + ".tokens", message.tokens()));
  const Position position = message.position();
  if (position < 0 || position > tokens_max) {
    return InvalidField(
        name + ".position",
        absl::StrCat("must be in [0, ", tokens_max, "], is ", position));
  }
  if (message.tokens_size() > tokens_max - position) {
    return InvalidField(
        name + ".tokens",
        absl::StrCat("end at ", position + message.tokens_size(),
                     ", the sequence holds ", tokens_max),
        kReasonContextExceeded);
  }
  return absl::OkStatus();
}

}  // namespace

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
  TANDEM_RETURN_IF_ERROR(CheckScores(model, open));
  StreamOpen result;
  SequenceDecoderOptions& decoder = result.decoder;
  decoder.tokens.assign(open.tokens().begin(), open.tokens().end());
  decoder.generated_from = open.generated_from();
  decoder.tokens_max = open.tokens_max();
  TANDEM_ASSIGN_OR_RETURN(decoder.options,
                          ParseGenOptions(open.options(), model.vocab_size));
  decoder.tenant = open.tenant();
  decoder.score_from = static_cast<Position>(open.score_from());
  decoder.score_alternatives = open.score_alternatives();
  result.tenant = open.tenant();
  result.tenant_kv_share = open.tenant_kv_share();
  result.queue_timeout = absl::Milliseconds(open.queue_timeout_ms());
  return result;
}

absl::StatusOr<ComputeRequest> ReadRequest(const WorkerModelInfo& model,
                                           Position tokens_max,
                                           const v1::DecodeRequest& request) {
  if (request.has_verify()) {
    const v1::VerifyTokens& verify = request.verify();
    TANDEM_RETURN_IF_ERROR(CheckMessage(model, v1::WORKER_ROLE_TARGET,
                                        tokens_max, "verify", verify));
    return VerifyAction{
        .position = verify.position(),
        .tokens = {verify.tokens().begin(), verify.tokens().end()},
        .draft = {verify.draft().begin(), verify.draft().end()}};
  }
  const v1::ProposeTokens& propose = request.propose();
  TANDEM_RETURN_IF_ERROR(CheckMessage(model, v1::WORKER_ROLE_DRAFT, tokens_max,
                                      "propose", propose));
  if (propose.draft_length() < 1 ||
      propose.draft_length() > kDraftLengthLimit) {
    return InvalidField("propose.draft_length",
                        absl::StrCat("must be in [1, ", kDraftLengthLimit,
                                     "], is ", propose.draft_length()));
  }
  return ProposeAction{
      .position = propose.position(),
      .tokens = {propose.tokens().begin(), propose.tokens().end()},
      .draft_length = propose.draft_length()};
}

}  // namespace tandem
