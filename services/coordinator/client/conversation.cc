#include "services/coordinator/client/conversation.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/check.h"
#include "engine/base/error_reason.h"
#include "services/coordinator/client/request_checks.h"
#include "services/coordinator/client/turn_events.h"
#include "services/coordinator/turn/turn_observer.h"

namespace tandem {
namespace {

// The turn does not go with the state of its session.
absl::Status WrongSession(const char* field, const std::string& what) {
  return MakeError(absl::StatusCode::kFailedPrecondition,
                   {.reason = kReasonWrongState,
                    .violations = {{.field = field, .description = what}}},
                   what);
}

absl::Status ShuttingDown() {
  return Draining("the server is shutting down; try another, or later");
}

// The reason that the client is told.
std::string ReasonOf(const absl::Status& status) {
  const std::optional<ErrorDetail> detail = GetErrorDetail(status);
  return detail.has_value() ? detail->reason
                            : absl::StatusCodeToString(status.code());
}

bool IsCharacterStart(const std::string& text, size_t index) {
  return index == text.size() ||
         (static_cast<unsigned char>(text[index]) & 0xC0) != 0x80;
}

}  // namespace

absl::Status TurnAdmission::Enter() {
  if (turns_.fetch_add(1) < turns_max_) return absl::OkStatus();
  turns_.fetch_sub(1);
  return Exhausted(absl::StrCat("the server runs ", turns_max_,
                                " turns at most; try later"));
}

Conversation::Conversation(ConversationServices* services, EventLoop* loop,
                           ClientStream* stream, ConversationSetup setup)
    : services_(services),
      loop_(loop),
      stream_(stream),
      setup_(std::move(setup)) {}

Conversation::~Conversation() = default;

// The loop changes only in a closure that runs on the loop it was, so a closure
// that finds itself on the right loop stays there.
void Conversation::PostToSelf(EventLoop::Closure closure) {
  EventLoop* const loop = loop_.load();
  loop->Post([self = shared_from_this(), loop,
              closure = std::move(closure)]() mutable {
    if (self->loop_.load() == loop) {
      closure();
    } else {
      self->PostToSelf(std::move(closure));
    }
  });
}

void Conversation::MoveTo(EventLoop* loop, EventLoop::Closure then) {
  if (loop_.load() == loop) return then();
  loop_.store(loop);
  PostToSelf(std::move(then));
}

void Conversation::PostMessage(v1::ConverseRequest message) {
  PostToSelf([this, message = std::move(message)]() mutable {
    OnMessage(std::move(message));
  });
}

void Conversation::PostMalformed() {
  PostToSelf([this] { Finish(MalformedMessage()); });
}

void Conversation::PostHalfClose() {
  PostToSelf([this] {
    half_closed_ = true;
    FinishIfDone();
  });
}

void Conversation::PostWriteDone() {
  PostToSelf([this] {
    write_in_flight_ = false;
    if (finish_status_.has_value()) {
      stream_->Finish(*std::exchange(finish_status_, std::nullopt));
      return;
    }
    if (state_ == State::kTurn) {
      runner_->SetTokensRead(tokens_sent_);
      return Pump();
    }
    FinishIfDone();
  });
}

void Conversation::PostCancelled() {
  PostToSelf([this] { OnClientGone(); });
}

void Conversation::PostDrain() {
  PostToSelf([this] {
    stopping_ = true;
    FinishIfDone();
  });
}

void Conversation::PostStop() {
  PostToSelf([this] {
    if (state_ == State::kTurn && runner_->active()) {
      runner_->Suspend(ShuttingDown());
    } else if (state_ == State::kPreparing) {
      Finish(ShuttingDown());
    }
  });
}

void Conversation::OnMessage(v1::ConverseRequest message) {
  if (state_ == State::kFinished) return;
  const bool first = std::exchange(first_message_, false);
  switch (message.request_case()) {
    case v1::ConverseRequest::kStart:
      return OnStart(std::move(*message.mutable_start()));
    case v1::ConverseRequest::kResume:
      if (!first) {
        return Finish(WrongState("resume must be a stream's first message"));
      }
      return OnResume(std::move(*message.mutable_resume()));
    case v1::ConverseRequest::kCancel:
      return OnCancelMessage();
    case v1::ConverseRequest::REQUEST_NOT_SET:
      return Finish(InvalidField("request", "must be start, resume or cancel"));
  }
}

void Conversation::OnCancelMessage() {
  if (state_ == State::kPreparing) cancel_requested_ = true;
  stream_->Read();
  if (state_ == State::kTurn) runner_->Cancel(FinishReason::kCancelled);
}

void Conversation::OnStart(v1::TurnRequest turn) {
  if (state_ != State::kIdle) {
    return Finish(WrongState("start came while a turn is under way"));
  }
  if (services_->draining.load()) return Finish(ShuttingDown());
  EventLoop* const loop = turn.session_id().empty()
                              ? loop_.load()
                              : services_->sessions->LoopOf(turn.session_id());
  MoveTo(loop, [this, turn = std::move(turn)]() mutable {
    StartOnLoop(std::move(turn));
  });
}

void Conversation::StartOnLoop(v1::TurnRequest turn) {
  if (state_ != State::kIdle) return;  // finished while it moved
  const absl::Status status = Prepare(std::move(turn));
  if (!status.ok()) {
    return Finish(PrefixFields(status, absl::StrCat(setup_.turn_field, ".")));
  }
}

absl::StatusOr<Session*> Conversation::FindSession(
    const v1::TurnRequest& turn) {
  if (turn.session_id().empty()) return nullptr;
  TANDEM_ASSIGN_OR_RETURN(
      Session* const session,
      services_->sessions->Find(turn.session_id(), setup_.tenant));
  if (session->holder() != nullptr) {
    return WrongSession("session_id",
                        "another stream has a turn of this session under way");
  }
  if (!session->model_id().empty() && !turn.model_id().empty() &&
      turn.model_id() != session->model_id()) {
    return WrongSession(
        "model_id", absl::StrCat("the session's model is ", session->model_id(),
                                 ", not ", turn.model_id()));
  }
  return session;
}

// Checks the turn and makes token ids of its prompt; OnPrepared follows.
absl::Status Conversation::Prepare(v1::TurnRequest turn) {
  TANDEM_RETURN_IF_ERROR(CheckTurnRequest(turn));
  TANDEM_ASSIGN_OR_RETURN(Session* const session, FindSession(turn));
  TANDEM_ASSIGN_OR_RETURN(
      ModelSummary model,
      services_->router->FindModel(session == nullptr ? turn.model_id()
                                                      : session->model_id()));
  // Before any work on the text.
  TANDEM_RETURN_IF_ERROR(
      ParseOptions(turn.options(), model.vocab_size).status());
  TANDEM_RETURN_IF_ERROR(CheckPrompt(turn, *model.tokenizer));
  state_ = State::kPreparing;
  session_ = session;
  if (session_ != nullptr) session_->Hold(this);
  cancel_requested_ = false;
  stream_->Read();
  if (turn.has_tokens()) {
    const auto& ids = turn.tokens().ids();
    TANDEM_RETURN_IF_ERROR(
        CheckTokenIds(absl::MakeConstSpan(ids.data(), ids.size()),
                      model.vocab_size, "tokens.ids"));
    OnPrepared(turn, std::move(model),
               EncodedPrompt{.ids = {ids.begin(), ids.end()}});
    return absl::OkStatus();
  }
  const std::optional<TokenId> last =
      session_ == nullptr ? std::nullopt : session_->LastToken();
  if (!turn.has_messages() && turn.text().size() <= kInlineTextBytes) {
    absl::StatusOr<EncodedPrompt> prompt =
        EncodePrompt(turn, *model.tokenizer, last);
    OnPrepared(std::move(turn), std::move(model), std::move(prompt));
    return absl::OkStatus();
  }
  return services_->background->Run([self = shared_from_this(), last,
                                     turn = std::move(turn),
                                     model = std::move(model)]() mutable {
    absl::StatusOr<EncodedPrompt> prompt =
        EncodePrompt(turn, *model.tokenizer, last);
    Conversation* const conversation = self.get();
    conversation->PostToSelf([conversation, turn = std::move(turn),
                              model = std::move(model),
                              prompt = std::move(prompt)]() mutable {
      conversation->OnPrepared(std::move(turn), std::move(model),
                               std::move(prompt));
    });
  });
}

void Conversation::OnPrepared(v1::TurnRequest turn, ModelSummary model,
                              absl::StatusOr<EncodedPrompt> prompt) {
  if (state_ != State::kPreparing) return;
  const absl::Status status =
      prompt.ok() ? OpenTurn(turn, model, *std::move(prompt)) : prompt.status();
  if (!status.ok()) {
    Finish(PrefixFields(status, absl::StrCat(setup_.turn_field, ".")));
  }
}

absl::Status Conversation::OpenTurn(const v1::TurnRequest& turn,
                                    const ModelSummary& model,
                                    EncodedPrompt prompt) {
  EventLoop* const loop = loop_.load();
  TurnSetup setup;
  setup.tokenizer = model.tokenizer;
  if (turn.timeout_ms() > 0) {
    setup.timeout = std::chrono::milliseconds(turn.timeout_ms());
  }
  TANDEM_ASSIGN_OR_RETURN(setup.spec.options,
                          ParseOptions(turn.options(), model.vocab_size));
  if (session_ != nullptr) {
    const absl::Span<const TokenId> history = session_->History();
    setup.spec.prompt.assign(history.begin(), history.end());
  }
  setup.spec.prompt.insert(setup.spec.prompt.end(), prompt.ids.begin(),
                           prompt.ids.end());
  setup.template_date = std::move(prompt.template_date);
  std::optional<WorkerChoice> target = services_->router->PickTarget(
      {.model_id = model.model_id,
       .vocabulary_fingerprint = model.vocabulary_fingerprint,
       .need = NeedOf(setup.spec)});
  if (!target.has_value() ||
      (session_ != nullptr &&
       session_->vocabulary_fingerprint() != model.vocabulary_fingerprint)) {
    return NoWorker("no target worker can serve the turn now");
  }
  setup.spec.context_max = target->context_max;
  TANDEM_RETURN_IF_ERROR(Turn::Check(*model.tokenizer, setup.spec));
  TANDEM_RETURN_IF_ERROR(services_->admission->Enter());
  admitted_ = true;
  if (session_ == nullptr) {
    TANDEM_ASSIGN_OR_RETURN(session_,
                            services_->sessions->Create(loop, setup_.tenant));
    session_->Hold(this);
  }
  // The new turn ends one that waited to be resumed, where it stands.
  if (session_->turn() != nullptr) {
    session_->turn()->Cancel(FinishReason::kCancelled);
  }
  setup.trace = setup_.trace;
  setup.observer = services_->observer;
  setup.session_id = session_->id();
  setup.tenant = session_->tenant();
  setup.number = session_->turns() + 1;
  setup.controller = services_->draft_priors.Get(target->fingerprint);
  setup.draft_priors = &services_->draft_priors;
  if (session_->turn() != nullptr) {
    const double credit_us = setup.controller.opening_credit_us();
    setup.controller = session_->turn()->drafter().TakeController();
    setup.controller.AddOpeningCredit(credit_us);
    setup.last_drafter = session_->turn()->drafter().last_worker();
  }
  runner_ = session_->OpenTurn(std::make_unique<TurnRunner>(
      loop, services_->router, services_->turn_limits, std::move(setup)));
  state_ = State::kTurn;
  started_sent_ = false;
  tokens_sent_ = 0;
  text_sent_ = 0;
  runner_->SetListener(this);
  TurnRunner* const runner = runner_;
  runner->Start(*std::move(target));
  // Start may have failed the turn already.
  if (cancel_requested_ && runner_ == runner) {
    runner->Cancel(FinishReason::kCancelled);
  }
  return absl::OkStatus();
}

// What the turn needs of a target.
SequenceNeed Conversation::NeedOf(const TurnSpec& spec) const {
  const bool has_turn = session_ != nullptr && session_->turn() != nullptr;
  return tandem::NeedOf(
      {.tenant = setup_.tenant, .tokens = spec.prompt, .options = spec.options},
      has_turn ? session_->turn()->target().last_worker() : LastWorker());
}

void Conversation::OnResume(v1::ResumeRequest resume) {
  if (services_->draining.load()) return Finish(ShuttingDown());
  EventLoop* const loop = services_->sessions->LoopOf(resume.session_id());
  MoveTo(loop, [this, resume = std::move(resume)] { ResumeOnLoop(resume); });
}

void Conversation::ResumeOnLoop(const v1::ResumeRequest& resume) {
  if (state_ != State::kIdle) return;  // finished while it moved
  const absl::StatusOr<Session*> session =
      services_->sessions->Find(resume.session_id(), setup_.tenant);
  if (!session.ok()) return Finish(session.status());
  TurnRunner* const runner = (*session)->turn();
  if (runner == nullptr || resume.turn() != (*session)->turns() ||
      (*session)->opening() != nullptr) {
    return Finish(WrongState("only the session's last turn can be resumed"));
  }
  absl::Status status = CheckResume(resume, *runner);
  if (!status.ok()) return Finish(PrefixFields(status, "resume."));
  // A stream that still believes to have the turn has lost its client.
  if ((*session)->holder() != nullptr) (*session)->holder()->OnTakenOver();
  if (runner->state() == TurnState::kSuspended) {
    status = services_->admission->Enter();
    if (!status.ok()) return Finish(status);
    admitted_ = true;
  }
  state_ = State::kTurn;
  session_ = *session;
  session_->Hold(this);
  runner_ = runner;
  started_sent_ = false;
  tokens_sent_ = resume.tokens_received();
  text_sent_ = static_cast<size_t>(resume.text_bytes_received());
  stream_->Read();
  runner->SetListener(this);
  runner->SetTokensRead(tokens_sent_);
  if (runner->state() == TurnState::kSuspended) {
    return runner->Resume();
  }
  OnTurnChanged();
}

absl::Status Conversation::CheckResume(const v1::ResumeRequest& resume,
                                       const TurnRunner& runner) const {
  const int64_t generated =
      static_cast<int64_t>(runner.turn().generated().size());
  if (resume.tokens_received() < 0 || resume.tokens_received() > generated) {
    return InvalidField(
        "tokens_received",
        absl::StrCat("must be in [0, ", generated, "], the tokens sent, is ",
                     resume.tokens_received()));
  }
  const std::string& text = runner.turn().text();
  const int64_t bytes = resume.text_bytes_received();
  if (bytes < 0 || bytes > static_cast<int64_t>(text.size()) ||
      !IsCharacterStart(text, static_cast<size_t>(bytes))) {
    return InvalidField(
        "text_bytes_received",
        absl::StrCat("must be in [0, ", text.size(),
                     "], the bytes of text sent, and not inside a character, "
                     "is ",
                     bytes));
  }
  return absl::OkStatus();
}

void Conversation::OnClientGone() {
  if (state_ == State::kFinished) return;
  if (state_ == State::kTurn) {
    const bool call_over =
        setup_.call_deadline.has_value() &&
        std::chrono::system_clock::now() >= *setup_.call_deadline;
    TurnRunner* const runner = runner_;
    runner->SetListener(nullptr);  // nobody to write to
    if (!runner->taken()) {
      // The client never heard of the turn: Finish abandons it.
    } else if (call_over) {
      runner->Cancel(FinishReason::kDeadline);
    } else {
      runner->Suspend(absl::OkStatus());
    }
  }
  Finish(absl::CancelledError("the client is gone"));
}

void Conversation::OnTakenOver() {
  Finish(MakeError(absl::StatusCode::kAborted, {.reason = kReasonWrongState},
                   "another stream has resumed the turn"));
}

void Conversation::OnTurnChanged() {
  TANDEM_CHECK(state_ == State::kTurn);
  if (!runner_->active()) LeaveAdmission();
  if (session_->opening() == runner_) {
    if (!runner_->taken()) {
      if (!runner_->active()) Finish(absl::Status(runner_->status()));
      return;
    }
    session_->CommitTurn();
  }
  Pump();
}

void Conversation::Pump() {
  if (write_in_flight_ || state_ != State::kTurn || !runner_->taken()) return;
  if (!started_sent_) {
    started_sent_ = true;
    return Write(StartedEvent(*runner_));
  }
  if (tokens_sent_ < static_cast<int64_t>(runner_->turn().generated().size())) {
    return Write(NextTokens());
  }
  switch (runner_->state()) {
    case TurnState::kEnded: {
      v1::ConverseResponse ended = EndedEvent(*runner_, text_sent_);
      LogTurnEnd(*runner_);
      services_->draft_priors.Put(runner_->model().fingerprint,
                                  runner_->drafter().TakeController());
      // The client may start its next turn as soon as it has this.
      LeaveTurn();
      state_ = State::kIdle;
      return Write(std::move(ended));
    }
    case TurnState::kSuspended:
    case TurnState::kFailed:
      spdlog::warn("turn {} of session {}... stopped: {} ({})",
                   runner_->setup().number, session_->id().substr(0, 8),
                   std::string(runner_->status().message()),
                   std::string(runner_->target().lost_status().message()));
      return Finish(absl::Status(runner_->status()));
    case TurnState::kNew:
    case TurnState::kRunning:
      return;
  }
}

void Conversation::Write(v1::ConverseResponse event) {
  write_in_flight_ = true;
  stream_->Write(event);
}

v1::ConverseResponse Conversation::NextTokens() {
  const TurnRunner::Group group =
      runner_->NextGroup(tokens_sent_, kEventTokensMax);
  v1::ConverseResponse event =
      TokensEvent(*runner_, {.tokens = tokens_sent_, .text_bytes = text_sent_},
                  {.tokens = group.end, .text_bytes = group.text_end});
  tokens_sent_ = group.end;
  text_sent_ = std::max(text_sent_, group.text_end);
  return event;
}

void Conversation::LeaveAdmission() {
  if (std::exchange(admitted_, false)) services_->admission->Leave();
}

void Conversation::LeaveTurn() {
  Session* const session = std::exchange(session_, nullptr);
  TurnRunner* const runner = std::exchange(runner_, nullptr);
  if (runner != nullptr) runner->SetListener(nullptr);
  LeaveAdmission();
  if (session == nullptr) return;
  if (session->opening() != nullptr) session->AbandonTurn();
  session->LetGo(loop_.load()->Now());
  // A new session whose first turn failed: its id was never told.
  if (session->turns() == 0) services_->sessions->Remove(session);
}

void Conversation::FinishIfDone() {
  if (state_ != State::kIdle || write_in_flight_) return;
  if (half_closed_) return Finish(absl::OkStatus());
  if (stopping_) Finish(ShuttingDown());
}

void Conversation::Finish(const absl::Status& status) {
  if (state_ == State::kFinished) return;
  // A turn that runs on without its stream waits for a resume.
  if (runner_ != nullptr && runner_->active() && runner_->taken()) {
    runner_->SetListener(nullptr);
    runner_->Suspend(absl::OkStatus());
  }
  LeaveTurn();
  state_ = State::kFinished;
  if (!status.ok() && !absl::IsCancelled(status) &&
      services_->observer != nullptr) {
    services_->observer->OnStreamFailed(ReasonOf(status));
  }
  if (write_in_flight_) {
    finish_status_ = status;
  } else {
    stream_->Finish(status);
  }
}

}  // namespace tandem
