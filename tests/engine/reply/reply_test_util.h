// A vocabulary with the marks of all formats, and replies in it. Pure
// functions.

#ifndef TANDEM_TESTS_ENGINE_REPLY_REPLY_TEST_UTIL_H_
#define TANDEM_TESTS_ENGINE_REPLY_REPLY_TEST_UTIL_H_

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "engine/reply/call_marks.h"
#include "engine/reply/channel_names.h"
#include "engine/reply/reply_format.h"
#include "engine/reply/reply_splitter.h"
#include "tests/engine/tokenizer/bpe_vocabulary.h"
#include "tests/engine/tokenizer/test_vocabulary.h"

namespace tandem {

// Control tokens with these names, and bytes; `plain` are user-defined.
inline std::shared_ptr<const Tokenizer> MakeReplyTokenizer(
    const std::vector<std::string>& controls,
    const std::vector<std::string>& plain,
    const std::string& chat_template = "") {
  BpeVocabulary vocabulary = BpeVocabulary::WithBytes();
  const TokenId end = vocabulary.Add("<|im_end|>", TokenKind::kControl);
  for (const std::string& name : controls) {
    vocabulary.Add(name, TokenKind::kControl);
  }
  for (const std::string& name : plain) {
    vocabulary.Add(name, TokenKind::kUserDefined);
  }
  GgufWriter writer = vocabulary.Writer();
  writer.SetUint32("tokenizer.ggml.eos_token_id", static_cast<uint32_t>(end));
  if (!chat_template.empty()) writer.SetString(kChatTemplateKey, chat_template);
  return std::move(MakeTokenizer(writer).value());
}

// The marks of all formats are tokens, some with a text and some without.
inline std::shared_ptr<const Tokenizer> AllMarksTokenizer() {
  static const auto* const tokenizer =
      new std::shared_ptr<const Tokenizer>(MakeReplyTokenizer(
          {"[TOOL_CALLS]", "[ARGS]", "[THINK]", "[/THINK]", "<|tool_call|>",
           "<|python_tag|>", "<｜tool▁calls▁begin｜>", "<｜tool▁calls▁end｜>",
           "<｜tool▁call▁begin｜>", "<｜tool▁call▁end｜>", "<｜tool▁sep｜>",
           "<|start|>", "<|channel|>", "<|message|>", "<|constrain|>",
           "<|end|>", "<|return|>", "<|call|>"},
          {"<tool_call>", "</tool_call>", "<think>", "</think>"}));
  return *tokenizer;
}

// The tokens of `text`, in which names of tokens are these.
inline std::vector<TokenId> ReplyIds(const Tokenizer& tokenizer,
                                     absl::string_view text) {
  return tokenizer.Encode(text, EncodeOptions{.parse_special = true});
}

// All control tokens, as FindControls has those of marks.
inline std::vector<ControlMark> ControlsOf(const Tokenizer& tokenizer) {
  std::vector<ControlMark> controls;
  for (TokenId id = 0; id < tokenizer.vocab_size(); ++id) {
    if (!tokenizer.TokenText(id, /*skip_special=*/true).empty()) continue;
    controls.push_back(
        {.name = std::string(tokenizer.TokenText(id, /*skip_special=*/false)),
         .id = id});
  }
  return controls;
}

// The known ways of writing calls as formats, those in channels last.
inline std::vector<ReplyFormat> AllReplyFormats(const Tokenizer& tokenizer) {
  std::vector<ReplyFormat> formats;
  for (const KnownCalls& known : AllKnownCalls()) {
    ReplyFormat format;
    format.tool_format = known.name;
    format.has_channels = known.name == kHarmony;
    format.reasoning_begin = format.has_channels ? kAnalysisBegin : "<think>";
    format.reasoning_end = format.has_channels ? kAnalysisEnd : "</think>";
    format.answer_begin = format.has_channels ? kFinalBegin : "";
    format.calls = known.marks;
    format.controls = ControlsOf(tokenizer);
    formats.push_back(std::move(format));
  }
  return formats;
}

// The first known way of that name.
inline ReplyFormat FormatOf(absl::string_view name,
                            const Tokenizer& tokenizer) {
  for (ReplyFormat& format : AllReplyFormats(tokenizer)) {
    if (format.tool_format == name) return format;
  }
  return AllReplyFormats(tokenizer).back();
}

// Adds what a later call gave.
inline void AddParts(const ReplyParts& more, ReplyParts* parts) {
  parts->content += more.content;
  parts->reasoning += more.reasoning;
  for (const CallDelta& delta : more.calls) {
    if (!parts->calls.empty() && parts->calls.back().index == delta.index) {
      parts->calls.back().arguments += delta.arguments;
    } else {
      parts->calls.push_back(delta);
    }
  }
}

// The parts of a whole reply.
inline ReplyParts SplitReply(const std::shared_ptr<const Tokenizer>& tokenizer,
                             const ReplyFormat& format,
                             const ReplySplitter::Options& options,
                             absl::Span<const TokenId> ids) {
  const size_t bytes = tokenizer->Decode(ids, /*skip_special=*/true).size() * 3;
  ReplySplitter splitter(tokenizer, format, options);
  ReplyParts parts = splitter.Add(ids, bytes);
  AddParts(splitter.Finish(bytes), &parts);
  return parts;
}

}  // namespace tandem

#endif  // TANDEM_TESTS_ENGINE_REPLY_REPLY_TEST_UTIL_H_
