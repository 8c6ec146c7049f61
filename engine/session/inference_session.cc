#include "engine/session/inference_session.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <utility>

#include "absl/memory/memory.h"
#include "engine/base/check.h"
#include "engine/base/error_reason.h"
#include "engine/sampling/draft_options.h"

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
  const std::atomic<bool>* interrupted = nullptr;
  std::optional<std::chrono::steady_clock::time_point> deadline = {};
};

// Runs the decoder's request to its end, unless interrupted or out of time.
absl::StatusOr<DecodedTokens> Run(const Request& request, double* us) {
  DecoderRows rows(request.decoder);
  *us = 0;
  while (true) {
    if (request.interrupted->load()) {
      return absl::CancelledError("the turn was interrupted");
    }
    if (request.deadline.has_value() &&
        std::chrono::steady_clock::now() >= *request.deadline) {
      return absl::DeadlineExceededError("the turn's time is over");
    }
    const StepItem item =
        request.decoder->NextItem(request.engine->info().rows_max);
    const int item_rows = static_cast<int>(item.tokens.size());
    const auto start = std::chrono::steady_clock::now();
    const absl::Status status = request.engine->Step({&item, 1}, &rows);
    const double step_us = MicrosSince(start);
    if (status.ok()) request.costs->Add(item_rows, step_us);
    *us += step_us;
    request.decoder->OnStepDone(status);
    std::optional<absl::StatusOr<DecodedTokens>> result =
        request.decoder->TakeResult();
    if (result.has_value()) return *std::move(result);
  }
}

absl::StatusOr<DecodedTokens> Verify(const Request& request,
                                     const VerifyAction& action, double* us) {
  TANDEM_RETURN_IF_ERROR(request.decoder->Begin(action));
  return Run(request, us);
}

bool HasIds(const Engine& engine, absl::Span<const TokenId> tokens) {
  const int vocab_size = engine.info().vocab_size;
  return std::all_of(tokens.begin(), tokens.end(), [vocab_size](TokenId id) {
    return id >= 0 && id < vocab_size;
  });
}

// A drafter may lack ids of the target's vocabulary.
absl::StatusOr<DecodedTokens> Propose(const Request& request,
                                      const ProposeAction& action, double* us) {
  if (!HasIds(*request.engine, action.tokens)) {
    return InvalidArgument(kReasonInvalidToken, "the drafter lacks a token");
  }
  TANDEM_RETURN_IF_ERROR(request.decoder->Begin(action));
  return Run(request, us);
}

absl::StatusOr<std::unique_ptr<SequenceDecoder>> OpenDecoder(
    Engine* engine, const TurnSpec& spec, GenOptions options) {
  const Position prompt = static_cast<Position>(spec.prompt.size());
  const Position context_max = engine->info().context_max;
  // A drafter may be smaller than the target, for which the turn was checked.
  if (prompt > context_max || !HasIds(*engine, spec.prompt)) {
    return InvalidArgument(kReasonContextExceeded,
                           "the model can not hold the prompt");
  }
  TANDEM_ASSIGN_OR_RETURN(std::shared_ptr<const TokenMasks> grammar,
                          CompileResponseFormat(engine->tokenizer(), options));
  return SequenceDecoder::Open(
      engine, {.tokens = spec.prompt,
               .generated_from = prompt,
               .tokens_max = std::min<Position>(
                   context_max, prompt + spec.options.max_tokens),
               .options = std::move(options),
               .grammar = std::move(grammar)});
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

absl::StatusOr<std::unique_ptr<InferenceSession>> InferenceSession::Create(
    ModelStore& store, absl::string_view model_id,
    absl::Span<const TokenId> prompt, const GenerateOptions& options) {
  TANDEM_ASSIGN_OR_RETURN(const std::shared_ptr<const Model> model,
                          store.Get(model_id));
  if (!options.draft_model_id.empty()) {
    TANDEM_ASSIGN_OR_RETURN(const std::shared_ptr<const Model> draft,
                            store.Get(options.draft_model_id));
    TANDEM_RETURN_IF_ERROR(
        CheckSameVocabulary(draft->tokenizer(), model->tokenizer()));
  }
  auto session = absl::WrapUnique(new InferenceSession(Source{
      .store = &store, .model_id = std::string(model_id), .options = options}));
  session->first_turn_ =
      FirstTurn{.prompt = std::vector<TokenId>(prompt.begin(), prompt.end()),
                .options = options.generation};
  // The engines go back to the cache, where the turn will find them.
  TurnSpec spec{.prompt = session->first_turn_->prompt,
                .options = options.generation};
  TANDEM_ASSIGN_OR_RETURN(const TurnEngines engines,
                          session->PrepareTurn(&spec));
  if (!options.draft_model_id.empty() && engines.draft == nullptr &&
      MayUseModel(options.generation)) {
    // A turn would go on without it.
    TANDEM_RETURN_IF_ERROR(
        session
            ->TakeDraft(spec.context_max,
                        static_cast<int64_t>(spec.prompt.size()) +
                            spec.options.max_tokens)
            .status());
  }
  return session;
}

absl::StatusOr<EngineCache::Lease> InferenceSession::TakeDraft(
    Position context_max, int64_t tokens) const {
  const std::string& id = source_->options.draft_model_id;
  EngineOptions options = source_->options.engine;
  {
    TANDEM_ASSIGN_OR_RETURN(const std::shared_ptr<const Model> model,
                            source_->store->Get(id));
    options.context_max =
        std::min<Position>(context_max, model->config().context_length);
  }
  return EngineCache::Of(*source_->store)
      .Take(*source_->store,
            {.model_id = id, .options = options, .tokens = tokens});
}

absl::StatusOr<InferenceSession::TurnEngines> InferenceSession::PrepareTurn(
    TurnSpec* spec) const {
  if (!spec->options.seed.has_value()) spec->options.seed = DrawSeed();
  if (!source_.has_value()) {
    spec->context_max = target_->info().context_max;
    TANDEM_RETURN_IF_ERROR(CheckTurn(target_->tokenizer(), *spec));
    TANDEM_ASSIGN_OR_RETURN(
        spec->grammar,
        CompileResponseFormat(target_->tokenizer(), spec->options));
    return TurnEngines{.target = target_,
                       .draft = MayUseModel(spec->options) ? draft_ : nullptr};
  }
  const EngineOptions& engine_options = source_->options.engine;
  {
    TANDEM_ASSIGN_OR_RETURN(const std::shared_ptr<const Model> model,
                            source_->store->Get(source_->model_id));
    const Position all = model->config().context_length;
    // A context_max out of range is for Engine::Load to tell.
    spec->context_max = engine_options.context_max > 0
                            ? std::min(engine_options.context_max, all)
                            : all;
    TANDEM_RETURN_IF_ERROR(CheckTurn(model->tokenizer(), *spec));
    TANDEM_ASSIGN_OR_RETURN(
        spec->grammar,
        CompileResponseFormat(model->tokenizer(), spec->options));
  }
  const int64_t tokens =
      static_cast<int64_t>(spec->prompt.size()) + spec->options.max_tokens;
  TurnEngines engines;
  TANDEM_ASSIGN_OR_RETURN(
      engines.target_lease,
      EngineCache::Of(*source_->store)
          .Take(*source_->store, {.model_id = source_->model_id,
                                  .options = engine_options,
                                  .tokens = tokens}));
  engines.target = engines.target_lease.engine();
  if (!source_->options.draft_model_id.empty() && MayUseModel(spec->options)) {
    // A drafter that can not be had costs speed only.
    absl::StatusOr<EngineCache::Lease> draft =
        TakeDraft(spec->context_max, tokens);
    if (draft.ok()) engines.draft_lease = *std::move(draft);
    engines.draft = engines.draft_lease.engine();
  }
  return engines;
}

absl::Status InferenceSession::StartTurn(absl::string_view prompt,
                                         const GenOptions& options) {
  if (!IsUtf8(prompt)) {
    return InvalidArgument(kReasonInvalidText, "the prompt is not UTF-8");
  }
  std::shared_ptr<const Model> model;
  if (source_.has_value()) {
    TANDEM_ASSIGN_OR_RETURN(model, source_->store->Get(source_->model_id));
  }
  const Tokenizer& tokenizer =
      model == nullptr ? target_->tokenizer() : model->tokenizer();
  const bool add_bos = turn_ == nullptr && tokenizer.adds_bos();
  return StartTurn(tokenizer.Encode(prompt, add_bos), options);
}

absl::Status InferenceSession::StartTurn(absl::Span<const TokenId> prompt,
                                         const GenOptions& options) {
  if (prompt.empty()) {
    return InvalidArgument(kReasonEmptyPrompt, "the prompt has no token");
  }
  TurnSpec spec{.prompt = tokens(), .options = options};
  spec.prompt.insert(spec.prompt.end(), prompt.begin(), prompt.end());
  TANDEM_ASSIGN_OR_RETURN(TurnEngines engines, PrepareTurn(&spec));
  TANDEM_ASSIGN_OR_RETURN(std::unique_ptr<SequenceDecoder> target_decoder,
                          OpenDecoder(engines.target, spec, spec.options));
  std::unique_ptr<SequenceDecoder> draft_decoder;
  if (engines.draft != nullptr) {
    spec.draft_context_max = engines.draft->info().context_max;
    // A drafter that can not be had (too long a prompt, an id that it lacks, no
    // free pages) costs speed only.
    absl::StatusOr<std::unique_ptr<SequenceDecoder>> opened =
        OpenDecoder(engines.draft, spec,
                    OptionsForDrafter(spec.options,
                                      engines.draft->tokenizer().vocab_size()));
    if (opened.ok()) draft_decoder = *std::move(opened);
  }

  // From here on nothing fails.
  Cancel();
  if (source_.has_value()) {
    source_->target = std::move(engines.target_lease);
    source_->draft = std::move(engines.draft_lease);
    target_ = engines.target;
    draft_ = engines.draft;
  }
  first_turn_.reset();
  buffer_.clear();
  handed_out_ = 0;
  end_.reset();
  finish_reason_.reset();
  speculator_ = std::make_unique<Speculator>(policy_, spec.options);
  turn_ = std::make_unique<Turn>(&target_->tokenizer(), std::move(spec));
  target_decoder_ = std::move(target_decoder);
  figures_ = {.prompt_found = target_decoder_->tokens_found(),
              .fingerprint = target_->info().fingerprint};
  draft_decoder_ = std::move(draft_decoder);
  state_ = SessionState::kGenerating;
  Take(turn_->Start(draft_decoder_ != nullptr, speculator_.get()));
  return absl::OkStatus();
}

absl::StatusOr<std::optional<SampledToken>> InferenceSession::NextToken() {
  if (first_turn_.has_value()) {
    TANDEM_RETURN_IF_ERROR(
        StartTurn(first_turn_->prompt, first_turn_->options));
  }
  while (buffered().empty() && state_ == SessionState::kGenerating) {
    TANDEM_RETURN_IF_ERROR(RunPending());
  }
  if (buffered().empty()) return std::nullopt;
  std::optional<SampledToken> token = std::move(buffer_[handed_out_++]);
  if (buffered().empty() && end_.has_value() &&
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
  const absl::StatusOr<DecodedTokens> result =
      Verify({.engine = target_,
              .decoder = target_decoder_.get(),
              .costs = &costs_.target,
              .interrupted = &interrupted_,
              .deadline = deadline_},
             verify, &us);
  figures_.times.verify_us += std::llround(us);
  if (!result.ok()) return Fail(result.status());
  policy_->OnTargetReport(std::make_shared<const CostCurve>(costs_.target), {});
  if (!std::exchange(figures_.target_ran_prompt, true)) {
    speculator_->SkipTimes();
  }
  speculator_->OnRequest(us, /*served_us=*/us);
  Take(turn_->OnVerified(*result));
  TANDEM_CHECK(end_ != FinishReason::kError);  // the decoder's answer is right
  return absl::OkStatus();
}

void InferenceSession::RunPropose(const ProposeAction& propose) {
  double us = 0;
  const absl::StatusOr<DecodedTokens> result =
      Propose({.engine = draft_,
               .decoder = draft_decoder_.get(),
               .costs = &costs_.draft,
               .interrupted = &interrupted_,
               .deadline = deadline_},
              propose, &us);
  figures_.times.draft_us += std::llround(us);
  if (!result.ok()) {  // an id that it lacks was committed, for one
    draft_decoder_.reset();
    Take(turn_->OnDrafterLost());
    return;
  }
  policy_->OnDraftReport(std::make_shared<const CostCurve>(costs_.draft));
  std::vector<TokenId> draft;
  for (const SampledToken& token : *result) draft.push_back(token.id);
  if (!std::exchange(figures_.draft_ran_prompt, true) ||
      propose.tokens.size() > 2) {
    speculator_->SkipTimes();
  }
  speculator_->OnRequest(us, /*served_us=*/us);
  Take(turn_->OnProposed(draft));
}

void InferenceSession::Take(std::vector<TurnAction> actions) {
  for (TurnAction& action : actions) {
    if (auto* emit = std::get_if<EmitAction>(&action)) {
      // Nothing is computed while a token is left to hand out.
      TANDEM_CHECK(buffered().empty());
      buffer_ = std::move(emit->tokens);
      handed_out_ = 0;
    } else if (const auto* end = std::get_if<EndAction>(&action)) {
      end_ = end->reason;
      pending_.reset();
      target_decoder_.reset();
      draft_decoder_.reset();
      speculator_.reset();
      if (source_.has_value()) {
        target_ = nullptr;
        draft_ = nullptr;
        source_->target = {};
        source_->draft = {};
      }
    } else {
      pending_ = std::move(action);
    }
  }
}

absl::Status InferenceSession::Fail(const absl::Status& status) {
  if (interrupted_.load()) {
    Cancel();
    return absl::OkStatus();
  }
  if (absl::IsDeadlineExceeded(status)) {
    End(FinishReason::kDeadline);
    return absl::OkStatus();
  }
  Take(turn_->OnCancel(FinishReason::kError));
  Close(SessionState::kStopped);
  return status;
}

void InferenceSession::Cancel() { End(FinishReason::kCancelled); }

void InferenceSession::End(FinishReason reason) {
  if (state_ != SessionState::kGenerating) return;
  // A turn that has ended by itself stays so, if its tokens were not all
  // handed out.
  const bool ended = turn_->ended();
  Take(turn_->OnCancel(reason));
  Close(ended ? SessionState::kComplete : SessionState::kStopped);
}

void InferenceSession::Close(SessionState state) {
  state_ = state;
  finish_reason_ = end_;
  interrupted_.store(false);
}

const std::string& InferenceSession::text() const {
  static const std::string* const kNoText = new std::string();
  return turn_ == nullptr ? *kNoText : turn_->text();
}

uint64_t InferenceSession::seed() const {
  return turn_ == nullptr ? 0 : turn_->options().seed.value_or(0);
}

TurnUsage InferenceSession::usage() const {
  if (turn_ == nullptr) return {};
  TurnUsage usage = turn_->usage();
  usage.cached_prompt_tokens = figures_.prompt_found;
  return usage;
}

SpeculationCounts InferenceSession::speculation() const {
  return turn_ == nullptr ? SpeculationCounts{} : turn_->speculation();
}

absl::Span<const TokenId> InferenceSession::prompt_tokens() const {
  if (first_turn_.has_value()) return first_turn_->prompt;
  if (turn_ == nullptr) return {};
  return turn_->prompt();
}

absl::Span<const TokenId> InferenceSession::generated_tokens() const {
  if (turn_ == nullptr) return {};
  return turn_->generated();
}

std::vector<TokenId> InferenceSession::tokens() const {
  return turn_ == nullptr ? std::vector<TokenId>{} : turn_->session_tokens();
}

}  // namespace tandem
