// The text of a turn as its tokens come in. One per turn, one thread.
//
// decided() after n tokens is a pure function of the first n tokens: all text
// except an unfinished UTF-8 character and the longest suffix that may still
// begin a stop string. So the text is the same however tokens were grouped.
// Bytes that can not be UTF-8 become U+FFFD, one for each maximal subpart.

#ifndef TANDEM_ENGINE_TOKENIZER_STREAM_DECODER_H_
#define TANDEM_ENGINE_TOKENIZER_STREAM_DECODER_H_

#include <string>
#include <vector>

#include "engine/base/types.h"
#include "engine/tokenizer/tokenizer.h"

namespace tandem {

class StreamDecoder {
 public:
  // `tokenizer` outlives the decoder. Stop strings are non-empty UTF-8.
  StreamDecoder(const Tokenizer* tokenizer,
                std::vector<std::string> stop_strings);

  // Adds one generated token. True when a stop string is complete, or where the
  // token is a special token (which has no text) of that name: the text
  // is then final and ends before that stop string (the one that starts
  // first; at one start the longest that is complete), and no more tokens may
  // follow.
  bool Push(TokenId id);

  // No more tokens will come: what was held back is decided too, an
  // unfinished character as U+FFFD. Idempotent; nothing after a stop string.
  void Finish();

  // Only grows. Valid UTF-8 at all times.
  const std::string& decided() const { return decided_; }

 private:
  // A stop string and how much of it the text so far ends with.
  struct StopMatcher {
    explicit StopMatcher(std::string stop);
    // Takes the next byte of the text; true where the stop string is complete.
    // After that it takes no more.
    bool Advance(char byte);

    std::string text;
    std::vector<size_t> fallback;  // [text.size()]
    size_t matched = 0;            // bytes
  };

  // True for a special token that is called as a stop string is.
  bool IsStopByName(TokenId id) const;
  // Takes whole characters.
  void AppendText(absl::string_view text);

  const Tokenizer* tokenizer_;
  std::vector<StopMatcher> stops_;
  std::string decided_;
  std::string held_;        // valid UTF-8 that may begin a stop string
  std::string unfinished_;  // 0 to 3 bytes of a UTF-8 character
  bool stopped_ = false;    // by a stop string
  bool finished_ = false;   // by Finish
};

}  // namespace tandem

#endif  // TANDEM_ENGINE_TOKENIZER_STREAM_DECODER_H_
