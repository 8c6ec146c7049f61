#include "tools/tandem/chat/chat.h"

#include <algorithm>
#include <sstream>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "engine/base/error_reason.h"
#include "engine/base/monotonic_clock.h"
#include "engine/base/status.h"
#include "services/common/flag_values.h"
#include "tools/tandem/base/output.h"
#include "tools/tandem/base/text_input.h"
#include "tools/tandem/base/turn_report.h"
#include "tools/tandem/chat/transcript.h"

namespace tandem::cli {
namespace {

constexpr char kGainNote[] =
    "(how much faster than without drafts: tokens per round, times the "
    "duration of a round without a draft over that of a round; \"at most\" "
    "where no round without a draft was measured)\n";

bool HasReason(const absl::Status& error, const char* reason) {
  const std::optional<ErrorDetail> detail = GetErrorDetail(error);
  return detail.has_value() && detail->reason == reason;
}

// What there is to say of how a reply ended; "": nothing.
std::string EndNote(v1::FinishReason reason) {
  switch (reason) {
    case v1::FINISH_REASON_LENGTH:
      return "(cut by max-tokens: /set max-tokens N allows more)";
    case v1::FINISH_REASON_CONTEXT:
      return "(the model's context is full: /new begins a new conversation)";
    case v1::FINISH_REASON_CANCELLED:
      return "(cancelled)";
    case v1::FINISH_REASON_DEADLINE:
      return "(cut by --timeout-ms)";
    default:
      return "";
  }
}

}  // namespace

Chat::Chat(ChatSetup setup, const Parts& parts)
    : conversation_(std::move(setup.conversation)),
      settings_(std::move(setup.settings)),
      is_interactive_(setup.is_interactive),
      parts_(parts) {}

absl::Status Chat::Run() {
  using Kind = ChatInput::Line::Kind;
  bool was_interrupted = false;
  while (!is_left_) {
    const ChatInput::Line line = parts_.input->Read();
    // Ctrl-C and Ctrl-D leave the cursor in the prompt's line.
    if (is_interactive_ && line.kind != Kind::kText) parts_.screen->Print("\n");
    if (line.kind == Kind::kTerminated) return InterruptedError();
    if (line.kind == Kind::kEnd) return absl::OkStatus();
    if (line.kind == Kind::kInterrupted) {
      if (was_interrupted) return absl::OkStatus();
      parts_.screen->Note("(Ctrl-C again or Ctrl-D leaves)");
      was_interrupted = true;
      continue;
    }
    was_interrupted = false;
    const absl::Status status = Take(line.text);
    if (parts_.input->is_terminated()) return InterruptedError();
    if (status.ok()) continue;
    if (!is_interactive_) return status;
    parts_.screen->Error(status);
  }
  return absl::OkStatus();
}

absl::Status Chat::Take(const std::string& text) {
  TANDEM_RETURN_IF_ERROR(CheckUtf8(text, "message"));
  if (absl::StripAsciiWhitespace(text).empty()) return absl::OkStatus();
  const absl::Status kept = parts_.input->Remember(text);
  if (!kept.ok()) parts_.screen->Note(OneLine(kept));
  TANDEM_ASSIGN_OR_RETURN(const ChatLine line, ParseChatLine(text));
  if (line.command.has_value()) return Obey(line);
  unanswered_.reset();
  const absl::Status status = Say(line.text, settings_.generation);
  if (!status.ok()) unanswered_ = line.text;
  return status;
}

absl::Status Chat::Obey(const ChatLine& line) {
  switch (*line.command) {
    case ChatCommand::kHelp:
      parts_.screen->Print(ChatHelp());
      return absl::OkStatus();
    case ChatCommand::kModel:
      return ShowModel();
    case ChatCommand::kNew:
      conversation_.Clear();
      unanswered_.reset();
      parts_.screen->Note("(a new conversation)");
      return absl::OkStatus();
    case ChatCommand::kQuit:
      is_left_ = true;
      return absl::OkStatus();
    case ChatCommand::kRetry:
      return Retry(line.text);
    case ChatCommand::kSave:
      TANDEM_RETURN_IF_ERROR(
          SaveTranscript(conversation_, line.text,
                         line.overwrites ? Overwrite::kYes : Overwrite::kNo));
      parts_.screen->Note(absl::StrCat("(saved in ", line.text, ")"));
      return absl::OkStatus();
    case ChatCommand::kSet:
      return Set(line.text);
    case ChatCommand::kStats:
      return ShowStats();
    case ChatCommand::kSystem:
      return SetSystem(line.text);
  }
  return absl::OkStatus();
}

absl::Status Chat::Set(absl::string_view text) {
  if (text.empty()) {
    std::ostringstream table;
    PrintTable(OptionTable(settings_), &table);
    parts_.screen->Print(table.str());
    return absl::OkStatus();
  }
  const size_t end = std::min(text.find_first_of(" \t="), text.size());
  const absl::string_view name = text.substr(0, end);
  const absl::string_view value = absl::StripLeadingAsciiWhitespace(
      end < text.size() ? text.substr(end + 1) : "");
  if (value.empty()) {
    return UsageError(absl::StrCat("write /set ", name,
                                   " VALUE; /set alone lists the options"));
  }
  return SetOption(name, value, &settings_);
}

absl::Status Chat::SetSystem(absl::string_view text) {
  if (text.empty()) {
    const std::optional<std::string>& system = conversation_.system();
    parts_.screen->Print(absl::StrCat(
        system.value_or("(no system message; /system TEXT sets one)"), "\n"));
    return absl::OkStatus();
  }
  TANDEM_RETURN_IF_ERROR(conversation_.SetSystem(text == "\"\"" ? "" : text));
  if (!conversation_.turns().empty()) {
    parts_.screen->Note(
        "(from the next message on; what was said so far is sent again)");
  }
  return absl::OkStatus();
}

absl::Status Chat::ShowModel() {
  TANDEM_ASSIGN_OR_RETURN(const v1::ModelInfo model,
                          parts_.client->FindModel(conversation_.model_id()));
  std::ostringstream report;
  PrintReport({{"model", model.model_id()},
               {"numerics", model.numerics()},
               {"context", model.context_max()},
               {"vocabulary", model.vocab_size()},
               {"target workers", model.target_workers()},
               {"draft workers", model.draft_workers()},
               {"chat template", model.chat_template()},
               {"fingerprint", model.fingerprint()}},
              &report);
  parts_.screen->Print(report.str());
  return absl::OkStatus();
}

absl::Status Chat::ShowStats() {
  const std::vector<ChatTurn>& turns = conversation_.turns();
  if (turns.empty())
    return UsageError("there is no turn yet to show figures of");
  std::vector<const TurnRecord*> records;
  for (const ChatTurn& turn : turns) records.push_back(&turn.record);
  const TurnRecord& last = *records.back();
  parts_.screen->Print(absl::StrCat(
      TurnStats(last), ConversationFigures(records), "session: ",
      last.started.session_id(), ", turn ", last.started.turn(), "\n",
      EstimateGain(last.ended, plain_rounds_.Median()).has_value() ? kGainNote
                                                                   : ""));
  return absl::OkStatus();
}

absl::Status Chat::Retry(absl::string_view seed) {
  v1::GenerationOptions options = settings_.generation;
  options.clear_seed();
  uint64_t number = 0;
  if (!seed.empty()) {
    if (!absl::SimpleAtoi(seed, &number)) {
      return UsageError(absl::StrCat("/retry ", QuotedValue(seed),
                                     ": a seed is a whole number from 0 to "
                                     "18446744073709551615"));
    }
    options.set_seed(number);
  }
  if (unanswered_.has_value()) {
    const std::string prompt = *unanswered_;
    TANDEM_RETURN_IF_ERROR(Say(prompt, options));
    unanswered_.reset();
    return absl::OkStatus();
  }
  TANDEM_ASSIGN_OR_RETURN(ChatTurn last, conversation_.TakeBack());
  const absl::Status status = Say(last.prompt, options);
  if (!status.ok()) conversation_.PutBack(std::move(last));
  return status;
}

absl::Status Chat::Explain(const absl::Status& error,
                           const v1::TurnRequest& request) const {
  const absl::Status told = parts_.client->Explain(
      error,
      {.model_id = request.model_id(), .session_id = request.session_id()});
  const auto with = [&told](absl::string_view remedy) {
    return MakeError(told.code(), GetErrorDetail(told).value_or(ErrorDetail{}),
                     absl::StrCat(told.message(), remedy));
  };
  if (!is_interactive_) return told;
  if (HasReason(error, kReasonUnknownSession) ||
      HasReason(error, kReasonContextExceeded)) {
    return with("; in a chat /new does");
  }
  if (absl::IsUnavailable(told)) {
    return with("; /retry tries again, /save FILE keeps the conversation");
  }
  return told;
}

void Chat::TakeEvent(const client::Event& event, ChatTurn* turn) {
  TurnRecord& record = turn->record;
  switch (event.event_case()) {
    case client::Event::kStarted:
      record.started = event.started();
      break;
    case client::Event::kTokens:
      plain_rounds_.Add(event.tokens(), MonotonicNow());
      Append(event.tokens(), &record);
      parts_.screen->Reply(event.tokens(), settings_.shade);
      break;
    case client::Event::kEnded:
      End(event.ended(), &record);
      parts_.screen->Reply(event.ended());
      break;
    case client::Event::kPrompt:  // was not asked for
    case client::Event::EVENT_NOT_SET:
      break;  // an event of a later version
  }
}

absl::Status Chat::RunTurn(const v1::TurnRequest& request, ChatTurn* turn) {
  const std::shared_ptr<client::TurnStream> stream =
      parts_.client->Start(request, {.on_lost = parts_.input->OnLost()});
  const auto on_lost = [this] {
    parts_.screen->Note("(the connection is lost: trying to go on)");
  };
  plain_rounds_.BeginTurn();
  parts_.input->BeginReply();
  absl::Status status;
  while (true) {
    const client::NextEvent event = parts_.input->Next(stream.get(), on_lost);
    status = event.status();
    if (!status.ok() || !event->has_value()) break;
    TakeEvent(**event, turn);
  }
  parts_.input->EndReply();
  parts_.screen->EndReply();
  return status;
}

absl::Status Chat::Say(const std::string& prompt,
                       const v1::GenerationOptions& options) {
  ChatTurn turn = {.prompt = prompt};
  v1::TurnRequest request = conversation_.Request(prompt, options);
  absl::Status status = RunTurn(request, &turn);
  if (HasReason(status, kReasonUnknownSession) &&
      conversation_.ForgetSession()) {
    parts_.screen->Note(
        "(the service has forgotten the session: the conversation so far is "
        "sent again)");
    request = conversation_.Request(prompt, options);
    status = RunTurn(request, &turn);
  }
  const bool has_begun = !turn.record.started.session_id().empty();
  if (!status.ok()) {
    status = Explain(status, request);
    turn.error = OneLine(status);
  }
  if (!has_begun) return status;
  ShowEnd(turn);
  conversation_.Add(std::move(turn));
  if (status.ok()) return status;
  if (is_interactive_) {
    parts_.screen->Error(status);
    return absl::OkStatus();
  }
  return status;
}

void Chat::ShowEnd(const ChatTurn& turn) {
  if (parts_.screen->TakeShaded() && !is_legend_shown_) {
    is_legend_shown_ = true;
    parts_.screen->Note(
        "(shaded: drafted and accepted; /set shade off ends it)");
  }
  if (turn.error.has_value()) return;
  const std::string note = EndNote(turn.record.ended.finish_reason());
  if (!note.empty()) parts_.screen->Note(note);
  parts_.screen->Note(FigureLine(turn.record, plain_rounds_.Median()));
}

}  // namespace tandem::cli
