#include "services/coordinator/client/client_stream.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/check.h"
#include "services/coordinator/turn/turn_observer.h"

namespace tandem {

ClientStream::ClientStream(ClientServices* services, ClientTransport* transport,
                           ClientStreamSetup setup)
    : services_(services),
      transport_(transport),
      setup_(std::move(setup)),
      reader_(services->loop, services->client_stall,
              [this](MonotonicDuration since) { OnStalled(since); }) {}

void ClientStream::PostToSelf(EventLoop::Closure closure) {
  services_->loop->Post(
      [self = shared_from_this(), closure = std::move(closure)]() mutable {
        closure();
      });
}

void ClientStream::PostMessage(v1::ConverseRequest message) {
  PostToSelf([this, message = std::move(message)]() mutable {
    OnMessage(std::move(message));
  });
}

void ClientStream::PostRefused(absl::Status status) {
  PostToSelf([this, status = std::move(status)] { Finish(status); });
}

void ClientStream::PostHalfClose() {
  PostToSelf([this] {
    half_closed_ = true;
    FinishIfDone();
  });
}

void ClientStream::PostWriteDone() {
  PostToSelf([this] {
    reader_.OnWriteDone();
    if (finish_status_.has_value()) {
      transport_->Finish(*std::exchange(finish_status_, std::nullopt));
    } else if (state_ == State::kTurn) {
      if (std::exchange(may_go_, false)) {
        services_->sessions->Hold(session_, this);
      }
      turn_->runner.SetTokensRead(told_.sent.tokens);
      Pump();
    } else {
      FinishIfDone();
    }
  });
}

void ClientStream::PostCancelled() {
  is_gone_.store(true);
  PostToSelf([this] { OnClientGone(); });
}

void ClientStream::PostDrain() {
  PostToSelf([this] {
    stopping_ = true;
    FinishIfDone();
  });
}

void ClientStream::PostStop() {
  PostToSelf([this] {
    if (state_ == State::kTurn && turn_->runner.active()) {
      turn_->runner.Suspend(ShuttingDown());
    } else if (state_ == State::kPreparing || state_ == State::kLoading ||
               told_.scores.has_value()) {
      Finish(ShuttingDown());
    }
  });
}

void ClientStream::OnMessage(v1::ConverseRequest message) {
  if (state_ == State::kFinished) return;
  const bool first = std::exchange(first_message_, false);
  switch (message.request_case()) {
    case v1::ConverseRequest::kStart:
    case v1::ConverseRequest::kAppend:
      return OnPrompt(std::move(message));
    case v1::ConverseRequest::kResume:
      if (!first) {
        return Finish(WrongState("resume must be a stream's first message"));
      }
      if (services_->draining.load()) return Finish(ShuttingDown());
      return WithSession(
          message.resume().session_id(), LoadFor::kResume,
          [this, resume = message.resume()] { OnResume(resume); });
    case v1::ConverseRequest::kCancel:
      if (state_ == State::kPreparing) cancel_requested_ = true;
      appended_.reset();
      transport_->Read();
      // A turn that is made again has ended.
      if (state_ == State::kTurn && !turn_->loaded_end.has_value()) {
        turn_->runner.Cancel(FinishReason::kCancelled);
      }
      return;
    case v1::ConverseRequest::REQUEST_NOT_SET:
      return Finish(
          InvalidField("request", "must be start, resume, cancel or append"));
  }
}

void ClientStream::OnPrompt(v1::ConverseRequest message) {
  const bool starts = message.has_start();
  const std::string field = starts ? setup_.turn_field : "append";
  if (state_ != State::kIdle) {
    return Finish(WrongState(field + " came while a turn is under way"));
  }
  if (services_->draining.load()) return Finish(ShuttingDown());
  const std::string session_id =
      starts ? message.start().session_id() : message.append().session_id();
  WithSession(session_id, LoadFor::kNextTurn,
              [this, field, message = std::move(message)]() mutable {
                absl::Status status;
                if (message.has_start()) {
                  status = Prepare(std::move(*message.mutable_start()));
                } else {
                  if (appended_ == nullptr) {
                    appended_ = services_->begin_append(setup_);
                  }
                  status = appended_->Add(std::move(*message.mutable_append()));
                  if (status.ok()) transport_->Read();
                }
                if (!status.ok()) Finish(PrefixFields(status, field + "."));
              });
}

void ClientStream::WithSession(const std::string& session_id, LoadFor purpose,
                               std::function<void()> then) {
  SessionLoader* const loader = services_->loader;
  if (loader == nullptr ||
      !loader->IsNeeded(session_id, setup_.tenant, purpose)) {
    return then();
  }
  state_ = State::kLoading;
  loader->Load(session_id, setup_.tenant, purpose,
               [self = shared_from_this(),
                then = std::move(then)](const absl::Status& status) {
                 if (self->state_ != State::kLoading) return;
                 self->state_ = State::kIdle;
                 if (!status.ok()) return self->Finish(status);
                 then();
               });
}

absl::Status ClientStream::Prepare(v1::TurnRequest turn) {
  if (const auto parts = std::exchange(appended_, nullptr)) {
    TANDEM_RETURN_IF_ERROR(parts->Complete(&turn));
  }
  TANDEM_ASSIGN_OR_RETURN(TurnInput input, ParseTurnInput(&turn));
  TANDEM_ASSIGN_OR_RETURN(SessionPlace place,
                          FindPlace({.tenant = setup_.tenant,
                                     .session_id = turn.session_id(),
                                     .model_id = turn.model_id()},
                                    services_->sessions, *services_->router));
  input.model = std::move(place.model);
  TANDEM_RETURN_IF_ERROR(FitToModel(turn, place.session, &input));
  state_ = State::kPreparing;
  session_ = input.forked.empty() ? place.session : nullptr;
  cancel_requested_ = false;
  std::optional<TokenId> last;
  if (!input.forked.empty()) last = input.forked.back();
  if (session_ != nullptr) {
    // A turn without a client rests, and ends when this one is opened.
    if (session_->holder() != nullptr) {
      session_->holder()->OnLost(absl::OkStatus());
    }
    services_->sessions->Hold(session_, this);
    session_->SetConversation();
    last = session_->LastToken();
  }
  transport_->Read();
  if (IsShort(input.prompt) && !input.options.response_format.has_value() &&
      !IsSplit(input)) {
    OnPrepared(input, EncodePrompt(input.prompt, *input.model.tokenizer, last));
    return absl::OkStatus();
  }
  return PrepareAside(std::move(input), last);
}

absl::Status ClientStream::PrepareAside(TurnInput input,
                                        std::optional<TokenId> last) {
  const int64_t bytes = PromptBytes(input.prompt) + CompileBytes(input.options);
  services_->sessions->MakeRoom(setup_.tenant, bytes);
  return services_->background->Run(
      {.tenant = setup_.tenant,
       .bytes = bytes,
       .run =
           [self = shared_from_this(), last,
            input = std::move(input)]() mutable {
             absl::StatusOr<EncodedPrompt> prompt =
                 EncodeTurn(input.prompt, input.options,
                            {.tokenizer = *input.model.tokenizer,
                             .last = last,
                             .split = IsSplit(input) ? &input.split : nullptr,
                             .reply_format = input.model.reply_format.get()});
             ClientStream* const stream = self.get();
             stream->PostToSelf([stream, input = std::move(input),
                                 prompt = std::move(prompt)]() mutable {
               stream->OnPrepared(input, std::move(prompt));
             });
           },
       .is_over = [self = shared_from_this()] { return self->is_gone_.load(); },
       .drop = [] {}});
}

void ClientStream::OnPrepared(const TurnInput& input,
                              absl::StatusOr<EncodedPrompt> prompt) {
  if (state_ != State::kPreparing) return;
  const absl::Status status =
      prompt.ok() ? OpenTurn(input, *std::move(prompt)) : prompt.status();
  if (!status.ok()) {
    Finish(PrefixFields(status, absl::StrCat(setup_.turn_field, ".")));
  }
}

absl::Status ClientStream::OpenTurn(const TurnInput& input,
                                    EncodedPrompt prompt) {
  SessionTurn* const last_turn =
      session_ == nullptr ? nullptr : session_->last();
  TurnRunner* const last = last_turn == nullptr ? nullptr : &last_turn->runner;
  TurnSpec spec = SpecOf(
      input,
      session_ == nullptr ? absl::Span<const TokenId>() : session_->History(),
      &prompt);
  const std::optional<WorkerChoice> target = services_->router->PickTarget(
      {.model_id = input.model.model_id,
       .vocabulary_fingerprint = input.model.vocabulary_fingerprint,
       .need = NeedOf(
           {.tenant = setup_.tenant,
            .tokens = spec.prompt,
            .options = spec.options},
           last == nullptr ? LastWorker() : last->target().last_worker())});
  if (!target.has_value()) {
    return NoWorker("no target worker can serve the turn now");
  }
  spec.context_max = target->context_max;
  TANDEM_RETURN_IF_ERROR(CheckTurnRoom(spec));
  const int64_t tokens = static_cast<int64_t>(spec.prompt.size());
  TANDEM_ASSIGN_OR_RETURN(admission_,
                          services_->quotas->Admit({.tenant = setup_.tenant,
                                                    .prompt_tokens = tokens,
                                                    .charged_tokens = tokens}));
  if (session_ == nullptr) {
    TANDEM_ASSIGN_OR_RETURN(
        session_, services_->sessions->Create(setup_.tenant, setup_.use));
    services_->sessions->Hold(session_, this);
  }
  // The new turn ends one that waited to be resumed, where it stands.
  if (last != nullptr) last->Cancel(FinishReason::kCancelled);
  TurnSetup setup;
  setup.session_id = session_->id();
  setup.tenant = session_->tenant();
  setup.tenant_kv_share = services_->quotas->LimitsOf(setup.tenant).kv_share;
  setup.number = session_->turns() + 1;
  setup.spec = std::move(spec);
  SetRequested(input, prompt, &setup);
  setup.trace = setup_.trace;
  setup.quarantine = services_->quarantine;
  setup.observer = services_->observer;
  setup.previous_fingerprint = session_->model().fingerprint;
  if (last != nullptr) setup.last_drafter = last->drafter().last_worker();
  const TurnKey key = {setup.session_id, session_->epoch(), setup.number};
  opening_.reset(new SessionTurn{
      .runner = TurnRunner(services_->loop, services_->router,
                           services_->turn_limits, std::move(setup)),
      .journal = TurnJournal(
          {.store = services_->store(), .loop = services_->loop, .key = key})});
  SessionTurn* const turn = opening_.get();
  FollowTurn(turn, {}, /*prompt_sent=*/0);
  turn->runner.Start(*target);
  if (turn_ != turn) return absl::OkStatus();  // Start has failed it
  turn->journal.Begin(
      turn->runner,
      {.prompt = prompt.ids,
       .is_one_shot = session_->use() == SessionUse::kOneShot,
       .previous = last == nullptr ? std::nullopt
                                   : last_turn->journal.UnstoredEnd(*last)});
  if (cancel_requested_) turn->runner.Cancel(FinishReason::kCancelled);
  return absl::OkStatus();
}

void ClientStream::FollowTurn(SessionTurn* turn, const TurnProgress& sent,
                              int64_t prompt_sent) {
  state_ = State::kTurn;
  turn_ = turn;
  turn->journal.SetListener([this] { OnJournalChanged(); });
  told_.started = false;
  set_aside_ = may_go_ = false;
  told_.sent = sent;
  told_.split.reset();
  if (turn->runner.setup().reply_split.has_value()) {
    told_.split.emplace(turn->runner);
  }
  if (turn->runner.setup().prompt_logprobs.has_value()) {
    told_.scores.emplace(PromptScores::Setup{.loop = services_->loop,
                                             .directory = services_->router,
                                             .limits = services_->turn_limits,
                                             .deadline = setup_.call_deadline,
                                             .on_change = [this] { Pump(); }},
                         &turn->runner, prompt_sent);
    if (told_.scores->is_over()) told_.scores.reset();
  }
  turn->runner.SetListener(this);
  turn->runner.SetTokensRead(sent.tokens);
}

void ClientStream::OnResume(const v1::ResumeRequest& resume) {
  const absl::StatusOr<Session*> found =
      services_->sessions->Find(resume.session_id(), setup_.tenant);
  if (!found.ok()) return Finish(found.status());
  Session* const session = *found;
  TurnRunner* const runner = session->turn();
  if (runner == nullptr || resume.turn() != session->turns() ||
      (session->holder() != nullptr && session->holder()->opens_turn())) {
    return Finish(WrongState("only the session's last turn can be resumed"));
  }
  // What a loaded turn has not made again yet is checked later.
  const std::optional<absl::Status> claim = CheckResumeOf(resume, *runner);
  if (!claim.has_value()) {
    unchecked_ = resume;
  } else if (!claim->ok()) {
    return Finish(PrefixFields(*claim, "resume."));
  }
  // A stream that still believes to have the turn has lost its client.
  if (session->holder() != nullptr) {
    session->holder()->OnLost(MakeError(absl::StatusCode::kAborted,
                                        {.reason = kReasonWrongState},
                                        "another stream has resumed the turn"));
  }
  session_ = session;
  services_->sessions->Hold(session_, this);
  transport_->Read();
  FollowTurn(session->last(),
             {.tokens = resume.tokens_received(),
              .text_bytes = static_cast<size_t>(resume.text_bytes_received())},
             resume.prompt_tokens_received());
  if (runner->state() == TurnState::kSuspended || told_.scores.has_value()) {
    return RunOn();
  }
  OnTurnChanged();
}

void ClientStream::OnClientGone() {
  if (state_ == State::kFinished) return;
  if (state_ == State::kTurn) {
    const bool call_over = setup_.call_deadline.has_value() &&
                           services_->loop->Now() >= *setup_.call_deadline;
    TurnRunner* const runner = &turn_->runner;
    runner->SetListener(nullptr);  // nobody to write to
    // One that is made again for its client alone has ended.
    const bool may_go_on = runner->active() && !turn_->loaded_end.has_value() &&
                           !services_->draining.load() &&
                           runner->setup().go_on > MonotonicDuration::zero();
    if (opening_ != nullptr) {
      // The client never heard of the turn: Finish forgets it.
    } else if (call_over) {
      runner->Cancel(FinishReason::kDeadline);
    } else if (may_go_on) {
      LeftTurns::Left left = {.session = session_,
                              .admission = *std::move(admission_),
                              .tokens_read = told_.sent.tokens};
      LeaveTurn();
      services_->left_turns->Add(std::move(left));
    } else {
      runner->Suspend(absl::OkStatus());
    }
  }
  Finish(absl::CancelledError("the client is gone"));
}

void ClientStream::OnLost(const absl::Status& why) { Finish(why); }

void ClientStream::OnTurnChanged() {
  TANDEM_CHECK(state_ == State::kTurn);
  if (admission_.has_value()) {
    if (turn_->runner.target().is_confirmed()) admission_->OnTaken();
    admission_->OnTokens(turn_->runner.usage().generated_tokens);
    const bool is_scored =
        turn_->runner.state() == TurnState::kEnded && told_.scores.has_value();
    if (!turn_->runner.active() && !is_scored) admission_.reset();
  }
  if (opening_ != nullptr) {
    if (!turn_->runner.taken()) {
      if (!turn_->runner.active()) Finish(absl::Status(turn_->runner.status()));
      return;
    }
    if (!turn_->journal.is_begun()) return;
    session_->Take(std::move(opening_));
    services_->sessions->Measure(session_);
  }
  turn_->journal.Follow(turn_->runner, !turn_->runner.active());
  Pump();
}

void ClientStream::OnJournalChanged() {
  const TurnRunner& runner = turn_->runner;
  const absl::Status status = turn_->journal.status();
  if (DiffersFromStore(status)) {
    LogTrouble(runner, absl::StrCat("is not this process' any more: ",
                                    status.message()));
    return Finish(InClientsWords(status));
  }
  // Tokens may be stored later. An end may not: a client that has heard of it
  // may begin its next turn at another coordinator, whose history is what is
  // stored.
  const bool is_end_missing =
      runner.state() == TurnState::kEnded && turn_->journal.is_end_answered();
  if (!status.ok() && (opening_ != nullptr || is_end_missing)) {
    LogTrouble(runner, absl::StrCat("was not stored: ", status.message()));
    return Finish(StoreIsAway());
  }
  if (opening_ != nullptr) return OnTurnChanged();
  if (status.ok()) turn_->journal.Follow(runner, !runner.active());
  Pump();
}

void ClientStream::Pump() {
  if (reader_.is_writing() || state_ != State::kTurn || opening_ != nullptr) {
    return;
  }
  if (told_.scores.has_value() && told_.scores->is_over()) {
    told_.scores.reset();
    if (!turn_->runner.active()) admission_.reset();
  }
  const std::optional<v1::ConverseResponse> event = NextEvent();
  if (!event.has_value()) return;
  reader_.OnWrite();
  transport_->Write(*event);
}

std::optional<v1::ConverseResponse> ClientStream::NextEvent() {
  const TurnRunner& runner = turn_->runner;
  if (!std::exchange(told_.started, true)) return StartedEvent(runner);
  if (unchecked_.has_value()) {
    const auto claim = CheckResumeOf(*unchecked_, runner);
    if (claim.has_value()) unchecked_.reset();
    if (claim.has_value() && !claim->ok()) {
      Finish(PrefixFields(*claim, "resume."));
      return std::nullopt;
    }
  }
  if (told_.scores.has_value()) {
    const auto part = told_.scores->Next(kEventTokensMax);
    if (part.has_value()) return PromptEvent(*part);
    if (!told_.scores->status().ok()) {
      LogTrouble(runner, absl::StrCat("has no scores of its prompt: ",
                                      told_.scores->status().message()));
      Finish(told_.scores->status());
      return std::nullopt;
    }
  } else if (told_.sent.tokens < runner.usage().generated_tokens) {
    TurnProgress next =
        runner.rounds().NextGroup(told_.sent.tokens, kEventTokensMax);
    next.text_bytes = std::max(told_.sent.text_bytes, next.text_bytes);
    v1::ConverseResponse event = TokensEvent(runner, told_.sent, next);
    if (told_.split.has_value()) {
      *event.mutable_tokens()->mutable_reply() =
          told_.split->Between(runner, told_.sent, next);
    }
    told_.sent = next;
    return event;
  }
  switch (runner.state()) {
    case TurnState::kEnded: {
      // The session's next turn follows all of this one's text.
      if (told_.scores.has_value() || !turn_->journal.is_end_answered()) {
        return std::nullopt;
      }
      v1::ConverseResponse ended =
          LastEvent(runner, told_.sent.text_bytes, turn_->loaded_end);
      if (told_.split.has_value()) {
        *ended.mutable_ended()->mutable_reply() =
            told_.split->Rest(runner, told_.sent);
      }
      LogTurnEnd(runner);
      // The client may start its next turn as soon as it has this.
      LeaveTurn();
      state_ = State::kIdle;
      return ended;
    }
    case TurnState::kSuspended:
      if (set_aside_) {
        RunOn();
        return std::nullopt;
      }
      [[fallthrough]];
    case TurnState::kFailed:
      LogTrouble(runner,
                 absl::StrCat("stopped: ", runner.status().message(), " (",
                              runner.target().lost_status().message(), ")"));
      Finish(absl::Status(runner.status()));
      return std::nullopt;
    case TurnState::kNew:
    case TurnState::kRunning:
      return std::nullopt;
  }
  return std::nullopt;
}

void ClientStream::OnStalled(MonotonicDuration since) {
  if (state_ != State::kTurn || opening_ != nullptr) return;
  if (turn_->runner.active()) {
    if (!turn_->runner.target().has_queue() &&
        since < kStallsMax * services_->client_stall) {
      return;
    }
    set_aside_ = true;
    turn_->runner.Suspend(absl::OkStatus());
  }
  // It has no place among the turns that run.
  admission_.reset();
  may_go_ = true;
  services_->sessions->SetAside(session_);
}

void ClientStream::RunOn() {
  if (services_->draining.load()) return Finish(ShuttingDown());
  const Turn& turn = turn_->runner.turn();
  absl::StatusOr<TurnAdmission> admission = services_->quotas->Admit(
      {.tenant = setup_.tenant,
       .prompt_tokens = static_cast<int64_t>(turn.session_tokens().size()),
       .generated_before = turn.usage().generated_tokens});
  if (!admission.ok()) return Finish(admission.status());
  admission_ = *std::move(admission);
  set_aside_ = false;
  if (turn_->runner.state() != TurnState::kSuspended) return OnTurnChanged();
  turn_->runner.Resume();
}

void ClientStream::LeaveTurn() {
  Session* const session = std::exchange(session_, nullptr);
  SessionTurn* const turn = std::exchange(turn_, nullptr);
  const bool is_as_stored = turn == nullptr || turn->LetGo();
  if (opening_ != nullptr && opening_->journal.is_asked()) {
    session->SetBegunInVain();
  }
  admission_.reset();
  told_.scores.reset();
  opening_.reset();
  unchecked_.reset();
  if (session == nullptr) return;
  services_->sessions->LetGo(session);
  // A new session whose first turn failed: its id was never told.
  const bool is_unheard = session->turns() == 0;
  if (is_unheard && turn != nullptr && services_->store() != nullptr) {
    services_->store()->Delete({.tenant = session->tenant()}, session->id(),
                               [](absl::Status /*status*/) {});
  }
  // What is not as the store has it is loaded again.
  if (is_unheard || !is_as_stored) services_->sessions->Remove(session);
}

void ClientStream::FinishIfDone() {
  if (state_ != State::kIdle || reader_.is_writing()) return;
  if (half_closed_) return Finish(absl::OkStatus());
  if (stopping_) Finish(ShuttingDown());
}

void ClientStream::Finish(const absl::Status& status) {
  if (state_ == State::kFinished) return;
  // A turn that runs on without its stream waits for a resume.
  if (turn_ != nullptr && turn_->runner.active() && opening_ == nullptr) {
    turn_->runner.SetListener(nullptr);
    turn_->runner.Suspend(absl::OkStatus());
  }
  LeaveTurn();
  appended_.reset();
  reader_.Stop();
  state_ = State::kFinished;
  if (!status.ok() && !absl::IsCancelled(status) &&
      services_->observer != nullptr) {
    services_->observer->OnStreamFailed(ReasonOf(status));
  }
  const absl::Status told =
      services_->quotas->WithReturnTime(setup_.tenant, status);
  if (reader_.is_writing()) {
    finish_status_ = told;
  } else {
    transport_->Finish(told);
  }
}

}  // namespace tandem
