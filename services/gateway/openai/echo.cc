#include "services/gateway/openai/echo.h"

#include <algorithm>
#include <cstddef>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "engine/base/status.h"

namespace tandem::gateway {
namespace {

// Detokenize has it for bytes that are no character: one to three of them.
constexpr absl::string_view kReplacement = "\xef\xbf\xbd";
constexpr size_t kReplacedBytesMax = 3;
// Bytes behind the place of the last token in which the next one is looked for,
// where tokens had parts of characters between them.
constexpr size_t kSearchBytesMax = 256;

bool IsAscii(char c) { return static_cast<unsigned char>(c) < 0x80; }

// Finds tokens in the text that they were made of, in order.
class TokenPlaces {
 public:
  explicit TokenPlaces(absl::string_view text) : text_(text) {}

  // Where the next token, which reads `token`, begins.
  size_t Next(absl::string_view token) {
    const absl::string_view rest = text_.substr(at_);
    if (absl::StartsWith(rest, token)) return Take(token.size());
    // SentencePiece puts a space before the text.
    if (at_ == 0 && absl::ConsumePrefix(&token, " ") &&
        absl::StartsWith(rest, token)) {
      return Take(token.size());
    }
    if (absl::StrContains(token, kReplacement)) return TakePart(token);
    const size_t found = rest.substr(0, unsure_ + token.size()).find(token);
    if (found == absl::string_view::npos) return at_;
    at_ += found;
    return Take(token.size());
  }

 private:
  size_t Take(size_t bytes) {
    unsure_ = 0;
    const size_t begin = at_;
    at_ += bytes;
    return begin;
  }

  // A byte for each part of a character, which may have more.
  size_t TakePart(absl::string_view token) {
    const size_t begin = at_;
    while (!token.empty()) {
      const bool is_part = absl::ConsumePrefix(&token, kReplacement);
      if (at_ < text_.size() &&
          (is_part ? !IsAscii(text_[at_]) : text_[at_] == token[0])) {
        ++at_;
      }
      if (is_part) unsure_ += kReplacedBytesMax - 1;
      if (!is_part) token.remove_prefix(1);
    }
    unsure_ = std::min(unsure_, kSearchBytesMax);
    return begin;
  }

  const absl::string_view text_;
  size_t at_ = 0;
  size_t unsure_ = 0;  // bytes that the place may lie behind at_
};

}  // namespace

absl::Status CheckEcho(const ReplyFormat& format,
                       const v1::TurnStarted& started) {
  if (!format.echo.has_value()) return absl::OkStatus();
  const Echo& echo = *format.echo;
  int64_t bytes = static_cast<int64_t>(echo.text.size());
  if (echo.logprobs.has_value()) {
    bytes += started.prompt_tokens() * (1 + *echo.logprobs) * kLogprobBytes;
  }
  if (bytes <= kEchoBytesMax / format.choices) return absl::OkStatus();
  return InvalidField(
      "echo", absl::StrCat("would take ", bytes * format.choices,
                           " bytes for the prompt in all choices; at most ",
                           kEchoBytesMax));
}

OrderedJson EchoLogprobs(const v1::PromptScored& prompt,
                         const TokenTexts& texts, absl::string_view text) {
  OrderedJson json = CompletionLogprobs(prompt, texts, 0);
  if (prompt.logprobs().empty()) return json;
  // Nothing stands before it.
  json["token_logprobs"][0] = nullptr;
  json["top_logprobs"][0] = nullptr;
  TokenPlaces places(text);
  OrderedJson& offsets = json["text_offset"];
  for (size_t i = 0; i < offsets.size(); ++i) {
    offsets[i] = places.Next(json["tokens"][i].get_ref<const std::string&>());
  }
  return json;
}

void AppendLogprobs(const OrderedJson& more, OrderedJson* logprobs) {
  for (const auto& list : more.items()) {
    for (const OrderedJson& entry : list.value()) {
      (*logprobs)[list.key()].push_back(entry);
    }
  }
}

v1::TurnEnded WithoutReply(v1::TurnEnded ended) {
  ended.set_finish_reason(v1::FINISH_REASON_LENGTH);
  ended.clear_text();
  ended.clear_reply();
  *ended.mutable_usage() = WithoutReply(ended.usage());
  return ended;
}

v1::Usage WithoutReply(v1::Usage usage) {
  usage.set_generated_tokens(0);
  return usage;
}

}  // namespace tandem::gateway
