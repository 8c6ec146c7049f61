// Replies in channels (channel_names.h). One per reply; one thread.
//
// "analysis" is reasoning, "commentary" to a function a call, all else the
// answer. Nothing of a message is held back, only its header.

#ifndef TANDEM_ENGINE_REPLY_CHANNEL_PARSER_H_
#define TANDEM_ENGINE_REPLY_CHANNEL_PARSER_H_

#include <cstddef>
#include <optional>
#include <string>

#include "absl/types/span.h"
#include "engine/reply/json_scanner.h"
#include "engine/reply/mark_pattern.h"
#include "engine/reply/reply_format.h"
#include "engine/reply/reply_parser.h"
#include "engine/reply/reply_parts.h"

namespace tandem {

class ChannelParser : public ReplyParser {
 public:
  struct Options {
    bool has_tools = false;
    bool starts_in_reasoning = false;
    std::string call_id_seed = {};
  };
  // `format` has channels.
  ChannelParser(const ReplyFormat& format, Options options);

  void Read(absl::Span<const ReplySymbol> symbols, ReplyParts* parts) override;
  void Finish(ReplyParts* parts) override;

 private:
  // A header longer than this is none.
  static constexpr size_t kHeaderBytesMax = 256;

  // Where a message goes.
  enum class Part {
    kHeader,     // it has not begun
    kContent,    //
    kReasoning,  //
    kCall,       // the arguments have not begun
    kArguments,  //
    kCallEnd,    // the arguments are complete
  };

  void ReadControl(ReplySymbol symbol, ReplyParts* parts);
  void ReadHeader(char byte, ReplyParts* parts);
  void ReadMessage(char byte, ReplyParts* parts);
  // What the header says of the message.
  void BeginMessage();
  // Gives what was taken for a header out as the answer.
  void BreakHeader(ReplyParts* parts);
  // Adds to the answer or the reasoning, and a line feed between two messages.
  void Say(char byte, ReplyParts* parts);

  const bool has_tools_;
  ReplySymbol start_ = 0;
  ReplySymbol channel_ = 0;
  ReplySymbol message_ = 0;
  ReplySymbol end_ = 0;
  CallWriter calls_;
  JsonScanner arguments_;
  Part part_;
  std::string role_;  // of the header, before the channel
  std::optional<std::string> channel_text_;  // behind "<|channel|>"
  std::string header_;                       // its bytes
  bool has_start_ = false;                   // of the header
  std::string function_;                     // that the message calls
  bool is_new_message_ = false;              // nothing of it was said
  bool has_content_ = false;
  bool has_reasoning_ = false;
};

}  // namespace tandem

#endif  // TANDEM_ENGINE_REPLY_CHANNEL_PARSER_H_
