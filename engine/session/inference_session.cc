#include "engine/session/inference_session.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "absl/memory/memory.h"
#include "engine/base/check.h"
#include "engine/base/error_reason.h"

namespace tandem {
namespace {

class DecoderRows : public RowConsumer {
 public:
  explicit DecoderRows(SequenceDecoder* decoder) : decoder_(decoder) {}

  void OnRow(size_t /*item*/, size_t row, absl::Span<float> logits) override {
    decoder_->OnRow(row, logits);
  }

 private:
  SequenceDecoder* decoder_;
};

double MicrosSince(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double, std::micro>(
             std::chrono::steady_clock::now() - start)
      .count();
}

// Whose request it is.
struct Request {
  Engine* engine = nullptr;
  SequenceDecoder* decoder = nullptr;
  CostCurve* costs = nullptr;  // of the engine's passes
};

// Runs the decoder's request to its end.
absl::StatusOr<DecodeResult> Run(const Request& request, double* us) {
  DecoderRows rows(request.decoder);
  *us = 0;
  while (true) {
    const StepItem item =
        request.decoder->NextItem(request.engine->info().rows_max);
    const int item_rows = static_cast<int>(item.tokens.size());
    const auto start = std::chrono::steady_clock::now();
    const absl::Status status = request.engine->Step({&item, 1}, &rows);
    const double step_us = MicrosSince(start);
    if (status.ok()) request.costs->Add(item_rows, step_us);
    *us += step_us;
    request.decoder->OnStepDone(status);
    std::optional<absl::StatusOr<DecodeResult>> result =
        request.decoder->TakeResult();
    if (result.has_value()) return *std::move(result);
  }
}

absl::StatusOr<DecodeResult> Propose(const Request& request,
                                     const ProposeAction& action, double* us) {
  TANDEM_RETURN_IF_ERROR(request.decoder->BeginPropose(
      action.position, action.tokens, action.draft_length));
  return Run(request, us);
}

absl::StatusOr<DecodeResult> Verify(const Request& request,
                                    const VerifyAction& action, double* us) {
  TANDEM_RETURN_IF_ERROR(request.decoder->BeginVerify(
      action.position, action.tokens, action.draft));
  return Run(request, us);
}

absl::StatusOr<std::unique_ptr<SequenceDecoder>> OpenDecoder(
    Engine* engine, const TurnSpec& spec, GenOptions options) {
  const Position prompt = static_cast<Position>(spec.prompt.size());
  return SequenceDecoder::Open(engine, {.tokens = spec.prompt,
                                        .generated_from = prompt,
                                        .tokens_max = std::min<Position>(
                                            engine->info().context_max,
                                            prompt + spec.options.max_tokens),
                                        .options = std::move(options)});
}

}  // namespace

absl::StatusOr<std::unique_ptr<InferenceSession>> InferenceSession::Create(
    Engine* target, Engine* draft) {
  if (draft != nullptr) {
    TANDEM_RETURN_IF_ERROR(
        CheckSameVocabulary(draft->tokenizer(), target->tokenizer()));
  }
  return absl::WrapUnique(new InferenceSession(target, draft));
}

absl::Status InferenceSession::StartTurn(absl::string_view prompt,
                                         const GenOptions& options) {
  if (!IsUtf8(prompt)) {
    return MakeError(absl::StatusCode::kInvalidArgument,
                     {.reason = kReasonInvalidText, .violations = {}},
                     "the prompt is not UTF-8");
  }
  const Tokenizer& tokenizer = target_->tokenizer();
  const bool add_bos = turn_ == nullptr && tokenizer.adds_bos();
  return StartTurn(tokenizer.Encode(prompt, add_bos), options);
}

absl::Status InferenceSession::StartTurn(absl::Span<const TokenId> prompt,
                                         const GenOptions& options) {
  if (prompt.empty()) {
    return MakeError(absl::StatusCode::kInvalidArgument,
                     {.reason = kReasonEmptyPrompt, .violations = {}},
                     "the prompt has no token");
  }
  TurnSpec spec{.prompt = tokens(),
                .options = options,
                .context_max = target_->info().context_max};
  spec.prompt.insert(spec.prompt.end(), prompt.begin(), prompt.end());
  if (!spec.options.seed.has_value()) spec.options.seed = DrawSeed();
  TANDEM_RETURN_IF_ERROR(Turn::Check(target_->tokenizer(), spec));
  TANDEM_ASSIGN_OR_RETURN(std::unique_ptr<SequenceDecoder> target_decoder,
                          OpenDecoder(target_, spec, spec.options));
  std::unique_ptr<SequenceDecoder> draft_decoder;
  if (draft_ != nullptr && MayUseModel(options)) {
    spec.draft_context_max = draft_->info().context_max;
    GenOptions draft_options = spec.options;
    draft_options.logprobs.reset();  // nobody reads them of a draft
    // A drafter that can not be had (too long a prompt, no free pages) costs
    // speed only.
    absl::StatusOr<std::unique_ptr<SequenceDecoder>> opened =
        OpenDecoder(draft_, spec, std::move(draft_options));
    if (opened.ok()) draft_decoder = *std::move(opened);
  }

  // From here on nothing fails.
  Cancel();
  buffer_.clear();
  end_.reset();
  finish_reason_.reset();
  speculator_ = std::make_unique<Speculator>(&controller_, spec.options);
  turn_ = std::make_unique<Turn>(&target_->tokenizer(), std::move(spec));
  target_decoder_ = std::move(target_decoder);
  prompt_found_ = target_decoder_->tokens_found();
  draft_decoder_ = std::move(draft_decoder);
  state_ = SessionState::kGenerating;
  target_ran_prompt_ = false;
  draft_ran_prompt_ = false;
  Take(turn_->Start(draft_decoder_ != nullptr, speculator_.get()));
  return absl::OkStatus();
}

absl::StatusOr<std::optional<SampledToken>> InferenceSession::NextToken() {
  while (buffer_.empty() && state_ == SessionState::kGenerating) {
    TANDEM_RETURN_IF_ERROR(RunPending());
  }
  if (buffer_.empty()) return std::nullopt;
  std::optional<SampledToken> token = std::move(buffer_.front());
  buffer_.pop_front();
  if (buffer_.empty() && end_.has_value() &&
      state_ == SessionState::kGenerating) {
    Close(SessionState::kComplete);
  }
  return token;
}

absl::Status InferenceSession::RunPending() {
  TANDEM_CHECK(pending_.has_value());
  const TurnAction action = std::move(*pending_);
  pending_.reset();
  if (const auto* propose = std::get_if<ProposeAction>(&action)) {
    RunPropose(*propose);
    return absl::OkStatus();
  }
  double us = 0;
  const auto& verify = std::get<VerifyAction>(action);
  const absl::StatusOr<DecodeResult> result =
      Verify({.engine = target_,
              .decoder = target_decoder_.get(),
              .costs = &target_costs_},
             verify, &us);
  if (!result.ok()) return Fail(result.status());
  controller_.cost().SetTarget(target_costs_, {});
  if (target_ran_prompt_) {
    speculator_->OnVerified(static_cast<int>(verify.draft.size()), us,
                            /*served_us=*/us);
  }
  target_ran_prompt_ = true;
  Take(turn_->OnVerified(result->tokens));
  TANDEM_CHECK(end_ != FinishReason::kError);  // the decoder's answer is right
  return absl::OkStatus();
}

void InferenceSession::RunPropose(const ProposeAction& propose) {
  double us = 0;
  const absl::StatusOr<DecodeResult> result =
      Propose({.engine = draft_,
               .decoder = draft_decoder_.get(),
               .costs = &draft_costs_},
              propose, &us);
  if (!result.ok()) {
    draft_decoder_.reset();
    Take(turn_->OnDrafterLost());
    return;
  }
  controller_.cost().SetDraft(draft_costs_, /*sequences=*/1);
  std::vector<TokenId> draft;
  for (const SampledToken& token : result->tokens) draft.push_back(token.id);
  if (draft_ran_prompt_) {
    speculator_->OnProposed(static_cast<int>(draft.size()),
                            static_cast<int>(propose.tokens.size()), us,
                            /*served_us=*/us);
  }
  draft_ran_prompt_ = true;
  Take(turn_->OnProposed(draft));
}

void InferenceSession::Take(std::vector<TurnAction> actions) {
  for (TurnAction& action : actions) {
    if (auto* emit = std::get_if<EmitAction>(&action)) {
      std::move(emit->tokens.begin(), emit->tokens.end(),
                std::back_inserter(buffer_));
    } else if (const auto* end = std::get_if<EndAction>(&action)) {
      end_ = end->reason;
      pending_.reset();
      target_decoder_.reset();
      draft_decoder_.reset();
      speculator_.reset();
    } else {
      pending_ = std::move(action);
    }
  }
}

absl::Status InferenceSession::Fail(const absl::Status& status) {
  Take(turn_->OnCancel(FinishReason::kError));
  Close(SessionState::kStopped);
  return status;
}

void InferenceSession::Cancel() {
  if (state_ != SessionState::kGenerating) return;
  // A turn that has ended by itself stays so, if its tokens were not all
  // handed out.
  const bool ended = turn_->ended();
  Take(turn_->OnCancel(FinishReason::kCancelled));
  Close(ended ? SessionState::kComplete : SessionState::kStopped);
}

void InferenceSession::Close(SessionState state) {
  state_ = state;
  finish_reason_ = end_;
}

const std::string& InferenceSession::text() const {
  static const std::string* const kNoText = new std::string();
  return turn_ == nullptr ? *kNoText : turn_->text();
}

uint64_t InferenceSession::seed() const {
  return turn_ == nullptr ? 0 : turn_->spec().options.seed.value_or(0);
}

TurnUsage InferenceSession::usage() const {
  if (turn_ == nullptr) return {};
  TurnUsage usage = turn_->usage();
  usage.cached_prompt_tokens = prompt_found_;
  return usage;
}

SpeculationCounts InferenceSession::speculation() const {
  return turn_ == nullptr ? SpeculationCounts{} : turn_->speculation();
}

std::vector<TokenId> InferenceSession::tokens() const {
  return turn_ == nullptr ? std::vector<TokenId>{} : turn_->session_tokens();
}

}  // namespace tandem
