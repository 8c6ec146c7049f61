// Fuzz target: a file's chat template and what becomes ids of it. The input's
// parts end with a NUL: the template, then messages and tools. The bits of a
// part's first byte say what it is: "0" to "3" are messages of the roles.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "engine/base/check.h"
#include "engine/base/utf8.h"
#include "engine/template/chat/chat_template.h"
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

int64_t CountMarkers(absl::Span<const TokenId> ids) {
  int64_t count = 0;
  for (const TokenId id : ids) count += id >= kFirstMarker ? 1 : 0;
  return count;
}

void TryParts(const std::vector<TextPart>& parts) {
  std::string text;
  int64_t markers = 0;
  for (size_t i = 0; i < parts.size(); ++i) {
    TANDEM_CHECK(!parts[i].text.empty());
    TANDEM_CHECK(i == 0 || parts[i].is_content != parts[i - 1].is_content);
    absl::StrAppend(&text, parts[i].text);
    if (parts[i].is_content) continue;
    markers += CountMarkers(FixedTokenizer().Encode(
        parts[i].text, EncodeOptions{.parse_special = true}));
  }
  // What is special comes from the template; and nothing is lost.
  const std::vector<TokenId> ids =
      FixedTokenizer().EncodeChat(parts, std::nullopt);
  TANDEM_CHECK(CountMarkers(ids) == markers);
  TANDEM_CHECK(FixedTokenizer().Decode(ids, /*skip_special=*/false) == text);
  for (const TokenId last : {kFirstMarker + 1, TokenId{'x'}}) {
    TANDEM_CHECK(CountMarkers(FixedTokenizer().EncodeChat(parts, last)) <=
                 markers);
  }
}

// Adds what the bits of `kind` say of `text`: a message or a tool.
void AddPart(int kind, const std::string& text, ChatRequest* request) {
  if ((kind & 0x80) != 0) {
    request->tools.push_back(
        {.name = absl::StrCat("tool", request->tools.size()),
         .description = text,
         .parameters = text});
    return;
  }
  ChatMessage message = {.role = static_cast<ChatRole>(kind & 3)};
  if ((kind & 4) == 0) message.content = text;
  if ((kind & 8) != 0) message.name = text;
  if (message.role == ChatRole::kAssistant) {
    if ((kind & 16) != 0) message.reasoning = text;
    for (int i = 0; i < (kind >> 5 & 3); ++i) {
      message.tool_calls.push_back(
          {.id = "call00001",
           .name = absl::StrCat("<s>", text),
           .arguments = i == 0 ? R"({"</s>": ["<|im_end|>", 1]})" : text});
    }
  }
  if (message.role == ChatRole::kTool && (kind & 16) != 0) {
    message.tool_call_id = "call00001";
  }
  request->messages.push_back(std::move(message));
}

void TryInput(absl::string_view input) {
  const std::vector<absl::string_view> parts = absl::StrSplit(input, '\0');
  const ChatTemplate chat_template = ChatTemplate::Parse(
      {{.name = "", .text = std::string(parts[0])}},
      {{"bos_token", "<s>"}, {"eos_token", "</s>"}}, {"</s>", "<|im_end|>"});
  ChatRequest request = {
      .messages = {},
      .options = {{"flag", true}, {"text", std::string("<s>")}},
      .today = "2026-11-28"};
  for (size_t i = 1; i < parts.size(); ++i) {
    if (parts[i].empty()) continue;
    AddPart(static_cast<uint8_t>(parts[i][0]) ^ '0',
            std::string(parts[i].substr(1)), &request);
  }
  const auto prompt = chat_template.Render(request);
  TANDEM_CHECK(chat_template.Check(request.options).ok() || !prompt.ok());
  if (prompt.ok()) TryParts(*prompt);
  const auto tail = chat_template.RenderAfterReply(request);
  if (tail.ok()) TryParts(*tail);
}

}  // namespace
}  // namespace tandem

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  tandem::TryInput(
      absl::string_view(reinterpret_cast<const char*>(data), size));
  return 0;
}
