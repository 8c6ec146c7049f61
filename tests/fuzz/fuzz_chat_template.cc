// Fuzz target: chat templates. The input's parts end with a NUL: the template,
// then messages whose first byte chooses the role. The first byte of the
// template chooses, above 0x7F, a family by its own markers.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "engine/base/check.h"
#include "engine/tokenizer/chat_template.h"
#include "engine/tokenizer/tokenizer.h"
#include "tests/engine/tokenizer/bpe_vocabulary.h"
#include "tests/engine/tokenizer/test_vocabulary.h"

namespace tandem {
namespace {

constexpr char kMarkers[][20] = {"<|im_start|>", "<|im_end|>", "[INST]",
                                 "[/INST]",      "<|user|>",   "<s>",
                                 "</s>"};
constexpr TokenId kFirstMarker = 256;

// A byte-level vocabulary with some markers, some of which it calls
// user-defined.
const Tokenizer& FixedTokenizer() {
  static const Tokenizer* const tokenizer = [] {
    BpeVocabulary vocabulary = BpeVocabulary::WithBytes();
    bool is_control = false;
    for (const char* marker : kMarkers) {
      is_control = !is_control || marker[1] == 's' || marker[1] == '/';
      vocabulary.Add(
          marker, is_control ? TokenKind::kControl : TokenKind::kUserDefined);
    }
    return MakeTokenizer(vocabulary.Writer()).value().release();
  }();
  return *tokenizer;
}

std::string TemplateOf(absl::string_view part) {
  if (part.empty() || static_cast<uint8_t>(part[0]) < 0x80) {
    return std::string(part);
  }
  const size_t index = static_cast<uint8_t>(part[0]) - 0x80;
  const absl::Span<const ChatFormat> formats = ChatFormats();
  std::string source(part);
  for (const absl::string_view marker :
       formats[index % formats.size()].markers) {
    absl::StrAppend(&source, marker, " ");
  }
  return source;
}

void TryMessages(const ChatTemplate& chat_template,
                 const std::vector<ChatMessage>& messages, ChatPlace place) {
  const std::vector<ChatSegment> segments =
      chat_template.Render(messages, place);
  size_t content_bytes = 0;
  for (const ChatMessage& message : messages) {
    content_bytes += message.content.size();
  }
  size_t bytes = 0;
  int64_t markers = 0;
  for (const ChatSegment& segment : segments) {
    bytes += segment.text.size();
    markers += segment.is_special ? 1 : 0;
  }
  // What a format adds is bounded: 1 KiB, and 256 bytes a message.
  TANDEM_CHECK(bytes <= content_bytes + 1024 + 256 * messages.size());
  // No content makes a marker.
  const auto check = [markers](const std::vector<TokenId>& ids) {
    int64_t special = 0;
    for (const TokenId id : ids) special += id >= kFirstMarker ? 1 : 0;
    TANDEM_CHECK(special <= markers);
  };
  check(FixedTokenizer().EncodeChat(segments));
  check(FixedTokenizer().EncodeChatAfter(kFirstMarker + 1, segments));
  check(FixedTokenizer().EncodeChatAfter('x', segments));
}

void TryInput(absl::string_view input) {
  const std::vector<absl::string_view> parts = absl::StrSplit(input, '\0');
  const ChatTemplate chat_template =
      ChatTemplate::Recognize(TemplateOf(parts[0]));
  TANDEM_CHECK(chat_template.is_known() == chat_template.CheckKnown().ok());
  TANDEM_CHECK(chat_template.is_known() != chat_template.name().empty());
  std::vector<ChatMessage> messages;
  for (size_t i = 1; i < parts.size(); ++i) {
    if (parts[i].empty()) continue;
    messages.push_back(
        {.role = static_cast<ChatRole>(static_cast<uint8_t>(parts[i][0]) % 3),
         .content = std::string(parts[i].substr(1))});
  }
  if (!CheckChatMessages(messages).ok() || !chat_template.is_known()) return;
  TryMessages(chat_template, messages, ChatPlace::kStart);
  TryMessages(chat_template, messages, ChatPlace::kAfterReply);
}

}  // namespace
}  // namespace tandem

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  tandem::TryInput(
      absl::string_view(reinterpret_cast<const char*>(data), size));
  return 0;
}
