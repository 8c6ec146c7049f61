// The parts of a turn's reply while its tokens come in: answer, reasoning and
// calls of tools. One per turn; one thread.
//
// What was given out is a function of all tokens and of how much text is
// decided, however they were grouped. So after a resume a new splitter is fed
// the tokens that the client has, and goes on where the first one was.

#ifndef TANDEM_ENGINE_REPLY_REPLY_SPLITTER_H_
#define TANDEM_ENGINE_REPLY_REPLY_SPLITTER_H_

#include <cstddef>
#include <deque>
#include <memory>
#include <string>

#include "absl/types/span.h"
#include "engine/base/types.h"
#include "engine/reply/reply_format.h"
#include "engine/reply/reply_parser.h"
#include "engine/reply/reply_parts.h"
#include "engine/tokenizer/stream_decoder.h"
#include "engine/tokenizer/tokenizer.h"

namespace tandem {

class ReplySplitter {
 public:
  struct Options {
    // Without tools marks of calls are text of the answer.
    bool has_tools = false;
    // The prompt has begun the reasoning (StartsInReasoning).
    bool starts_in_reasoning = false;
    // What ids of calls are made of: the same for the same turn.
    std::string call_id_seed = {};
  };

  ReplySplitter(std::shared_ptr<const Tokenizer> tokenizer,
                const ReplyFormat& format, Options options);

  // What `ids`, the turn's next tokens, add. `text_bytes`: of the turn's text
  // (Turn::text()), how many bytes are decided after them.
  ReplyParts Add(absl::Span<const TokenId> ids, size_t text_bytes);
  // The turn is over, with this much text: what was held back. After it nothing
  // is added.
  ReplyParts Finish(size_t text_bytes);

 private:
  // A control token and the bytes of text before it.
  struct Control {
    size_t offset = 0;
    TokenId id = 0;
  };

  // Takes what was not taken of the first `text_bytes` bytes.
  void TakeText(size_t text_bytes, ReplyParts* parts);

  std::shared_ptr<const Tokenizer> tokenizer_;
  StreamDecoder decoder_;
  std::deque<Control> controls_;  // not taken yet
  size_t taken_bytes_ = 0;
  std::unique_ptr<ReplyParser> parser_;
  bool finished_ = false;
};

}  // namespace tandem

#endif  // TANDEM_ENGINE_REPLY_REPLY_SPLITTER_H_
