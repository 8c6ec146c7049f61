// The events of a turn as server-sent events (WHATWG HTML, section 9.2) of one
// endpoint. Owned by a stream's source; one thread at a time.
//
// Each event's id is SESSION-TURN-TOKENS-BYTES, and -CALLS where tools were
// called: what a client that has the event has of the turn, for Last-Event-ID;
// events of several choices have none. An echoed prompt is one event, the
// first, and BYTES has those of the prompt and of the reply.

#ifndef TANDEM_SERVICES_GATEWAY_OPENAI_STREAM_WRITER_H_
#define TANDEM_SERVICES_GATEWAY_OPENAI_STREAM_WRITER_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "services/gateway/openai/api_request.h"
#include "services/gateway/openai/reply_parts.h"
#include "tandem/v1/generation.pb.h"

namespace tandem::gateway {

// What a client has of a turn.
struct StreamPosition {
  std::string session_id;
  int64_t turn = 0;
  int64_t tokens = 0;
  int64_t text_bytes = 0;
  int64_t calls = 0;  // of tools, begun
};
std::string WriteEventId(const StreamPosition& position);
std::optional<StreamPosition> ParseEventId(absl::string_view text);

class StreamWriter {
 public:
  virtual ~StreamWriter() = default;

  StreamWriter(const StreamWriter&) = delete;
  StreamWriter& operator=(const StreamWriter&) = delete;

  // Where the stream of events begins that the service is asked for, given what
  // the client has. Before the first event.
  virtual StreamPosition Resume(const StreamPosition& from);

  // Whether the stream has the scores of the whole prompt before its tokens;
  // after Resume.
  virtual bool WantsPrompt() const { return false; }

  // Each gives the bytes to send, which may be none.
  std::string Started(const v1::TurnStarted& started);
  // All of the prompt; nothing where WantsPrompt() does not hold. `texts` has
  // those of IdsOfLogprobs(prompt).
  std::string Prompt(const v1::PromptScored& prompt, const TokenTexts& texts);
  // `texts` has those of TextsFor.
  std::string Tokens(const v1::TokensGenerated& tokens,
                     const TokenTexts& texts);
  // The last ones.
  std::string Ended(const v1::TurnEnded& ended) {
    return Ended(ended, ended.usage());
  }
  // The same of the last choice to end, with the usage of all; and of those
  // that end before it.
  std::string Ended(const v1::TurnEnded& ended, const v1::Usage& of_all);
  std::string EndedChoice(const v1::TurnEnded& ended);
  // For a turn that ends by an error; the last ones.
  std::string Failed(const absl::Status& status) const;

  // The ids whose texts Tokens needs.
  std::vector<int32_t> TextsFor(const v1::TokensGenerated& tokens) const;

  const ReplyFormat& format() const { return format_; }
  const v1::TurnStarted& started() const { return started_; }

 protected:
  explicit StreamWriter(ReplyFormat format) : format_(std::move(format)) {}

  // What an event adds to the reply.
  struct Piece {
    const std::string& text;      // as the model wrote it
    const v1::ReplyDelta& parts;  // made of it, by client::PartsOf
    // Those of the event; null: what was held back.
    const v1::TokensGenerated* tokens = nullptr;
    const TokenTexts& texts;
  };

  // What an endpoint has for each event of the turn: calls Emit.
  virtual void OnStarted() = 0;
  virtual void OnPrompt(const v1::PromptScored& /*prompt*/,
                        const TokenTexts& /*texts*/) {}
  virtual void OnPiece(const Piece& piece) = 0;
  virtual void OnEnded(const v1::TurnEnded& ended) = 0;
  // What follows the ends of all choices.
  virtual void OnAllEnded(const v1::Usage& /*of_all*/) {}
  virtual std::string LastLines() const { return "data: [DONE]\n\n"; }
  // The data of an error, with the name of its event; "" for none.
  virtual std::string ErrorLines(const absl::Status& status) const;

  // Adds an event. `name`: its type; null: none.
  void Emit(const OrderedJson& data, const char* name = nullptr);
  const StreamPosition& position() const { return position_; }
  // Text that comes before the reply's, for the ids of events.
  void AddText(const std::string& text) {
    position_.text_bytes += static_cast<int64_t>(text.size());
  }
  // What the ids of events say.
  virtual StreamPosition EventPosition() const { return position_; }

 private:
  void AddPiece(const Piece& piece);

  const ReplyFormat format_;
  v1::TurnStarted started_;
  StreamPosition position_;
  std::string out_;
};

// The writer of `format`'s endpoint.
std::unique_ptr<StreamWriter> MakeStreamWriter(const ReplyFormat& format);
std::unique_ptr<StreamWriter> MakeChatWriter(const ReplyFormat& format);
std::unique_ptr<StreamWriter> MakeCompletionWriter(const ReplyFormat& format);
std::unique_ptr<StreamWriter> MakeResponseWriter(const ReplyFormat& format);

}  // namespace tandem::gateway

#endif  // TANDEM_SERVICES_GATEWAY_OPENAI_STREAM_WRITER_H_
