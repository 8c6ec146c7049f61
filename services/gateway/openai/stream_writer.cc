#include "services/gateway/openai/stream_writer.h"

#include <algorithm>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "services/client/joined_reply.h"
#include "services/gateway/openai/echo.h"
#include "services/gateway/openai/shared_fields.h"

namespace tandem::gateway {
namespace {

// A count that is written without sign or spaces.
bool ParseCount(absl::string_view text, int64_t* count) {
  return text.find_first_not_of("0123456789") == absl::string_view::npos &&
         absl::SimpleAtoi(text, count);
}

}  // namespace

std::string WriteEventId(const StreamPosition& position) {
  std::string id =
      absl::StrCat(WriteTurnName(position.session_id, position.turn), "-",
                   position.tokens, "-", position.text_bytes);
  if (position.calls > 0) absl::StrAppend(&id, "-", position.calls);
  return id;
}

std::optional<StreamPosition> ParseEventId(absl::string_view text) {
  const std::vector<absl::string_view> parts = absl::StrSplit(text, '-');
  if (parts.size() != 4 && parts.size() != 5) return std::nullopt;
  const std::optional<TurnName> name =
      ParseTurnName(absl::StrCat(parts[0], "-", parts[1]));
  StreamPosition position;
  if (!name.has_value() || !ParseCount(parts[2], &position.tokens) ||
      !ParseCount(parts[3], &position.text_bytes) ||
      (parts.size() == 5 && !ParseCount(parts[4], &position.calls))) {
    return std::nullopt;
  }
  position.session_id = name->session_id;
  position.turn = name->turn;
  return position;
}

StreamPosition StreamWriter::Resume(const StreamPosition& from) {
  position_ = from;
  return from;
}

std::string StreamWriter::Started(const v1::TurnStarted& started) {
  started_ = started;
  position_.session_id = started.session_id();
  position_.turn = started.turn();
  OnStarted();
  return std::exchange(out_, {});
}

std::string StreamWriter::Prompt(const v1::PromptScored& prompt,
                                 const TokenTexts& texts) {
  if (WantsPrompt()) OnPrompt(prompt, texts);
  return std::exchange(out_, {});
}

std::string StreamWriter::Tokens(const v1::TokensGenerated& tokens,
                                 const TokenTexts& texts) {
  position_.tokens = tokens.first_token() + tokens.token_ids_size();
  AddPiece({.text = tokens.text(),
            .parts = client::PartsOf(tokens),
            .tokens = &tokens,
            .texts = texts});
  return std::exchange(out_, {});
}

void StreamWriter::AddPiece(const Piece& piece) {
  // A turn whose time is over ends before its prompt was scored.
  if (WantsPrompt()) OnPrompt({}, TokenTexts());
  position_.text_bytes += static_cast<int64_t>(piece.text.size());
  for (const v1::ToolCallDelta& call : piece.parts.tool_calls()) {
    position_.calls =
        std::max<int64_t>(position_.calls, int64_t{call.index()} + 1);
  }
  if (!format_.has_no_reply()) OnPiece(piece);
}

std::string StreamWriter::Ended(const v1::TurnEnded& ended,
                                const v1::Usage& of_all) {
  std::string last = EndedChoice(ended);
  OnAllEnded(format_.has_no_reply() ? WithoutReply(of_all) : of_all);
  return absl::StrCat(last, std::exchange(out_, {}), LastLines());
}

std::string StreamWriter::EndedChoice(const v1::TurnEnded& ended) {
  AddPiece({.text = ended.text(),
            .parts = client::PartsOf(ended),
            .texts = TokenTexts()});
  OnEnded(format_.has_no_reply() ? WithoutReply(ended) : ended);
  return std::exchange(out_, {});
}

std::string StreamWriter::Failed(const absl::Status& status) const {
  return absl::StrCat(ErrorLines(InTermsOf(status, format_.names)),
                      LastLines());
}

std::string StreamWriter::ErrorLines(const absl::Status& status) const {
  OrderedJson data;
  data["error"] = ErrorObject(status);
  return absl::StrCat("data: ", WriteJson(data), "\n\n");
}

std::vector<int32_t> StreamWriter::TextsFor(
    const v1::TokensGenerated& tokens) const {
  if (format_.api == ReplyFormat::Api::kResponse || format_.has_no_reply()) {
    return {};
  }
  std::vector<int32_t> ids = IdsOfLogprobs(tokens);
  if (format_.with_tandem && tokens.token_ids_size() > 1) {
    ids.insert(ids.end(), tokens.token_ids().begin(), tokens.token_ids().end());
  }
  return ids;
}

void StreamWriter::Emit(const OrderedJson& data, const char* name) {
  if (name != nullptr) absl::StrAppend(&out_, "event: ", name, "\n");
  if (format_.choices == 1) {
    absl::StrAppend(&out_, "id: ", WriteEventId(EventPosition()), "\n");
  }
  absl::StrAppend(&out_, "data: ", WriteJson(data), "\n\n");
}

std::unique_ptr<StreamWriter> MakeStreamWriter(const ReplyFormat& format) {
  switch (format.api) {
    case ReplyFormat::Api::kChat:
      return MakeChatWriter(format);
    case ReplyFormat::Api::kCompletion:
      return MakeCompletionWriter(format);
    case ReplyFormat::Api::kResponse:
      break;
  }
  return MakeResponseWriter(format);
}

}  // namespace tandem::gateway
