#include "services/coordinator/append/appended_prompt.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/error_reason.h"
#include "services/coordinator/client/request_checks.h"
#include "services/coordinator/turn/worker_failure.h"

namespace tandem {
namespace {

using TokenIds = std::vector<TokenId>;

// Of `request`, a part or a turn: OK where it belongs to the parts that began
// with `first`.
template <typename Request>
absl::Status CheckSame(const Request& request, const v1::AppendRequest& first) {
  constexpr char kSame[] = "must be that of the prompt's first part";
  if (request.session_id() != first.session_id()) {
    return InvalidField("session_id", kSame);
  }
  if (request.model_id() != first.model_id()) {
    return InvalidField("model_id", kSame);
  }
  if (request.parse_special() != first.parse_special()) {
    return InvalidField("parse_special", kSame);
  }
  return absl::OkStatus();
}

absl::Status OtherKind(const char* field, const PromptSource& prompt) {
  return InvalidField(
      field,
      absl::StrCat(
          "must be of the kind of the parts before: ",
          std::holds_alternative<PromptText>(prompt) ? "text" : "tokens"));
}

// OK where `text` may follow the prompt's; a field of an error is "text".
absl::Status CheckText(const std::string& text, const PromptSource& prompt) {
  const auto* const before = std::get_if<PromptText>(&prompt);
  if (before == nullptr) return OtherKind("text", prompt);
  if (before->text.size() + text.size() <= kCutTextBytesMax) {
    return absl::OkStatus();
  }
  return InvalidField("text",
                      absl::StrCat("must have at most ", kCutTextBytesMax,
                                   " bytes with the parts before, has ",
                                   before->text.size() + text.size()));
}

}  // namespace

AppendedPrompt::AppendedPrompt(ClientServices* services,
                               const ClientStreamSetup& setup,
                               MonotonicDuration idle)
    : services_(services), setup_(setup), idle_(idle) {}

AppendedPrompt::~AppendedPrompt() {
  services_->loop->CancelTimer(&idle_timer_);
  CloseSequence();
  services_->memory->Add(MemoryKind::kTexts, setup_.tenant, -bytes_counted_);
}

absl::Status AppendedPrompt::Add(v1::AppendRequest part) {
  TANDEM_RETURN_IF_ERROR(first_.has_value() ? CheckSame(part, *first_)
                                            : Begin(part));
  TANDEM_RETURN_IF_ERROR(Join(&part));
  services_->loop->CancelTimer(&idle_timer_);
  idle_timer_ = services_->loop->SetTimer(services_->loop->Now() + idle_,
                                          [this] { OnIdle(); });
  Advance();
  return absl::OkStatus();
}

absl::Status AppendedPrompt::Begin(const v1::AppendRequest& part) {
  TANDEM_ASSIGN_OR_RETURN(SessionPlace place,
                          FindPlace({.tenant = setup_.tenant,
                                     .session_id = part.session_id(),
                                     .model_id = part.model_id()},
                                    services_->sessions, *services_->router));
  const Session* const session = place.session;
  model_ = std::move(place.model);
  if (part.parse_special() && !part.has_text()) {
    return InvalidField("parse_special", "goes with text only");
  }
  if (part.has_tokens()) {
    prompt_ = TokenIds();
  } else {
    prompt_ = PromptText{.text = "", .parse_special = part.parse_special()};
  }
  if (session != nullptr) {
    const absl::Span<const TokenId> history = session->History();
    ids_.assign(history.begin(), history.end());
    history_ = ids_.size();
    if (session->turn() != nullptr) {
      last_worker_ = session->turn()->target().last_worker();
    }
  }
  first_.emplace();
  first_->set_session_id(part.session_id());
  first_->set_model_id(part.model_id());
  first_->set_parse_special(part.parse_special());
  return absl::OkStatus();
}

absl::Status AppendedPrompt::Join(v1::AppendRequest* part) {
  switch (part->part_case()) {
    case v1::AppendRequest::kText:
      TANDEM_RETURN_IF_ERROR(CheckText(part->text(), prompt_));
      std::get<PromptText>(prompt_).text += part->text();
      break;
    case v1::AppendRequest::kTokens: {
      auto* const tokens = std::get_if<TokenIds>(&prompt_);
      if (tokens == nullptr) return OtherKind("tokens", prompt_);
      const auto& ids = part->tokens().ids();
      TANDEM_RETURN_IF_ERROR(
          CheckTokenIds(ids, model_.tokenizer->vocab_size(), "tokens.ids"));
      tokens->insert(tokens->end(), ids.begin(), ids.end());
      ids_.insert(ids_.end(), ids.begin(), ids.end());
      break;
    }
    case v1::AppendRequest::PART_NOT_SET:
      return InvalidField("part", "must be text or tokens");
  }
  TANDEM_RETURN_IF_ERROR(
      CheckPromptRoom(prompt_, {.tokens_before = static_cast<int64_t>(history_),
                                .context_max = model_.context_largest,
                                .token_bytes_max = model_.token_bytes_max}));
  const int64_t bytes = PromptBytes(prompt_) +
                        static_cast<int64_t>(ids_.size() * sizeof(TokenId));
  services_->sessions->MakeRoom(setup_.tenant, bytes - bytes_counted_);
  if (!services_->memory->Take(MemoryKind::kTexts, setup_.tenant,
                               bytes - bytes_counted_)) {
    return Exhausted("there is no memory for the prompt's parts now");
  }
  bytes_counted_ = bytes;
  return absl::OkStatus();
}

absl::Status AppendedPrompt::Complete(v1::TurnRequest* turn) {
  TANDEM_RETURN_IF_ERROR(CheckSame(*turn, *first_));
  auto* const text = std::get_if<PromptText>(&prompt_);
  switch (turn->prompt_case()) {
    case v1::TurnRequest::kText:
      TANDEM_RETURN_IF_ERROR(CheckText(turn->text(), prompt_));
      break;
    case v1::TurnRequest::kTokens:
      if (text != nullptr) return OtherKind("tokens", prompt_);
      break;
    case v1::TurnRequest::kMessages:
      return OtherKind("messages", prompt_);
    case v1::TurnRequest::PROMPT_NOT_SET:
      break;
  }
  if (text != nullptr) {
    turn->set_text(absl::StrCat(text->text, turn->text()));
  } else {
    google::protobuf::RepeatedField<int32_t> joined;
    const auto& ids = std::get<TokenIds>(prompt_);
    joined.Add(ids.begin(), ids.end());
    joined.MergeFrom(turn->tokens().ids());
    *turn->mutable_tokens()->mutable_ids() = std::move(joined);
  }
  // The turn pays for all of its prompt.
  admission_.reset();
  return absl::OkStatus();
}

void AppendedPrompt::Advance() {
  if (is_under_way_ || is_hopeless_) return;
  while (ids_.size() < asked_ + kPieceTokensMin && EncodeMore()) {
  }
  if (ids_.size() < asked_ + kPieceTokensMin) return;
  const std::optional<WorkerChoice> worker = services_->router->PickTarget(
      {.model_id = model_.model_id,
       .vocabulary_fingerprint = model_.vocabulary_fingerprint,
       .need = {.tenant = setup_.tenant,
                .tokens = ids_,
                .tokens_max = static_cast<Position>(ids_.size()),
                .last_worker = last_worker_}});
  if (!worker.has_value()) return;
  if (static_cast<Position>(ids_.size()) >= worker->context_max) {
    is_hopeless_ = true;
    return CloseSequence();
  }
  if (!MayOpen(worker->fingerprint)) return;
  if (!Admit()) return CloseSequence();  // it has no place any more
  Open(*worker);
}

bool AppendedPrompt::EncodeMore() {
  const auto* const prompt = std::get_if<PromptText>(&prompt_);
  if (prompt == nullptr) return false;
  const std::string& text = prompt->text;
  const Tokenizer& tokenizer = *model_.tokenizer;
  // The event loop can spare the time for so much text. A text that has no cut
  // in it is left to the turn.
  const size_t cut =
      tokenizer.LastCut(text, encoded_, encoded_ + kInlineTextBytes);
  if (cut == encoded_) return false;
  const TokenIds more =
      tokenizer.Encode(absl::string_view(text).substr(encoded_, cut - encoded_),
                       {.add_bos = history_ == 0 && tokenizer.adds_bos(),
                        .parse_special = prompt->parse_special,
                        .goes_on = encoded_ > 0});
  ids_.insert(ids_.end(), more.begin(), more.end());
  const auto bytes = static_cast<int64_t>(more.size() * sizeof(TokenId));
  services_->memory->Add(MemoryKind::kTexts, setup_.tenant, bytes);
  bytes_counted_ += bytes;
  encoded_ = cut;
  return true;
}

bool AppendedPrompt::MayOpen(const std::string& fingerprint) const {
  PromptQuarantine* const quarantine = services_->quarantine;
  return quarantine == nullptr || quarantine->suspects() == 0 ||
         quarantine->Ask(HashPrompt(fingerprint, ids_)) ==
             PromptQuarantine::Leave::kGo;
}

bool AppendedPrompt::Admit() {
  admission_.reset();
  const auto tokens = static_cast<int64_t>(ids_.size() - history_);
  absl::StatusOr<TurnAdmission> admission =
      services_->quotas->Admit({.tenant = setup_.tenant,
                                .prompt_tokens = tokens,
                                .charged_tokens = tokens});
  if (admission.ok()) admission_ = *std::move(admission);
  return admission.ok();
}

void AppendedPrompt::Open(const WorkerChoice& worker) {
  // First, so that the worker has room for the next.
  stream_.reset();
  if (services_->quarantine != nullptr) {
    stay_.emplace(services_->quarantine, HashPrompt(worker.fingerprint, ids_),
                  worker.name);
  }
  if (std::exchange(worker_, worker.name) != worker.name) computed_ = 0;
  const auto length = static_cast<Position>(ids_.size());
  GenOptions options;
  options.seed = 0;
  // Without a time to wait for KV: turns go first.
  stream_ = worker.link->Open(
      {.session_id = "append",
       .model_id = worker.model_id,
       .fingerprint = worker.fingerprint,
       .tokens = ids_,
       .generated_from = length,
       .tokens_max = length,
       .options = std::move(options),
       .tenant = setup_.tenant,
       .tenant_kv_share = services_->quotas->LimitsOf(setup_.tenant).kv_share,
       .trace = setup_.trace},
      services_->loop, this, setup_.call_deadline);
  stream_->Verify({.position = length - 1, .tokens = {ids_.back()}});
  is_under_way_ = true;
  asked_ = ids_.size();
  services_->router->OnComputed({.worker = worker.name,
                                 .tenant = setup_.tenant,
                                 .fingerprint = worker.fingerprint,
                                 .tokens = ids_});
}

void AppendedPrompt::OnOpened(const OpenedSequence& opened) {
  // Without a prefix cache each piece would cost as much as the whole prompt.
  if (computed_ <= 2 * kPieceTokensMin || opened.cached_tokens > 0) return;
  is_hopeless_ = true;
  CloseSequence();
}

void AppendedPrompt::OnAnswer(WorkerAnswer answer) {
  if (!is_under_way_ || answer.position != static_cast<Position>(asked_)) {
    return CloseSequence();  // it was not asked for that
  }
  is_under_way_ = false;
  computed_ = asked_;
  if (stay_.has_value()) stay_->OnAnswer();
  stay_.reset();
  Advance();
}

void AppendedPrompt::OnClosed(const absl::Status& status) {
  if (stay_.has_value() && IsDeath(status)) stay_->OnDeath();
  is_hopeless_ = is_hopeless_ || IsFatal(status);
  computed_ = 0;
  // Another piece goes with the next part that is worth it.
  CloseSequence();
}

void AppendedPrompt::CloseSequence() {
  stay_.reset();
  stream_.reset();
  is_under_way_ = false;
  // What was computed is paid for.
  if (admission_.has_value()) admission_->OnTaken();
  admission_.reset();
}

void AppendedPrompt::OnIdle() {
  CloseSequence();
  // The pages may go: the next piece brings all of them back.
  asked_ = computed_ = 0;
}

void TakeAppends(MonotonicDuration idle, ClientServices* services) {
  services->begin_append = [services, idle](const ClientStreamSetup& setup) {
    return std::make_unique<AppendedPrompt>(services, setup, idle);
  };
}

}  // namespace tandem
