// Fuzz target: the splitting of replies. The first byte chooses the format, the
// second the options; of the others, those below 0x7F are tokens of that byte,
// 0x7F makes one of the byte after it, those from 0x80 on are special tokens,
// and those from 0xF0 on end a group of tokens, of whose text as many bytes
// are not decided yet as the byte says.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "engine/base/check.h"
#include "engine/reply/reply_format.h"
#include "engine/reply/reply_splitter.h"
#include "engine/tokenizer/stream_decoder.h"
#include "tests/engine/reply/reply_test_util.h"
#include "tests/fuzz/script.h"
#include "tests/fuzz/whole_utf8.h"

namespace tandem {
namespace {

constexpr int kFirstSpecial = 256;  // AllMarksTokenizer has the bytes first

const std::vector<ReplyFormat>& Formats() {
  static const auto* const formats =
      new std::vector<ReplyFormat>(AllReplyFormats(*AllMarksTokenizer()));
  return *formats;
}

// A group of tokens, and how much text is decided after it.
struct Group {
  std::vector<TokenId> ids = {};
  size_t text_bytes = 0;
};

std::vector<Group> ReadGroups(Script* script) {
  const auto tokenizer = AllMarksTokenizer();
  const int special_tokens = tokenizer->vocab_size() - kFirstSpecial;
  StreamDecoder decoder(tokenizer.get(), {});
  std::vector<Group> groups(1);
  while (!script->done()) {
    const int byte = script->Byte();
    if (byte >= 0xF0) {
      const size_t bytes = decoder.decided().size();
      groups.back().text_bytes =
          bytes - std::min<size_t>(bytes, static_cast<size_t>(byte - 0xF0));
      groups.emplace_back();
      continue;
    }
    TokenId id = byte;
    if (byte >= 0x80) id = kFirstSpecial + (byte - 0x80) % special_tokens;
    if (byte == 0x7F) id = script->Byte();
    groups.back().ids.push_back(id);
    decoder.Push(id);
  }
  decoder.Finish();
  groups.back().text_bytes = decoder.decided().size();
  return groups;
}

void CheckParts(const ReplyParts& parts, absl::string_view text) {
  TANDEM_CHECK(IsWholeUtf8(parts.content));
  TANDEM_CHECK(IsWholeUtf8(parts.reasoning));
  size_t bytes = 0;
  for (size_t i = 0; i < parts.calls.size(); ++i) {
    const CallDelta& call = parts.calls[i];
    TANDEM_CHECK(call.index == static_cast<int>(i));
    TANDEM_CHECK(!call.name.empty() && call.id.size() == 9);
    TANDEM_CHECK(call.arguments[0] == '{' && IsWholeUtf8(call.arguments));
    bytes += call.name.size() + call.arguments.size();
  }
  // Messages in channels are joined by line feeds, for which marks stand.
  bytes += parts.content.size() + parts.reasoning.size();
  TANDEM_CHECK(bytes <= 2 * text.size());
}

void TryInput(absl::string_view input) {
  Script script(input);
  const ReplyFormat& format = Formats()[script.Byte() % Formats().size()];
  const int flags = script.Byte();
  const ReplySplitter::Options options = {
      .has_tools = (flags & 1) != 0,
      .starts_in_reasoning = (flags & 2) != 0,
      .call_id_seed = "seed"};
  const auto tokenizer = AllMarksTokenizer();
  ReplySplitter splitter(tokenizer, format, options);
  StreamDecoder decoder(tokenizer.get(), {});
  std::vector<TokenId> ids;
  ReplyParts parts;
  const std::vector<Group> groups = ReadGroups(&script);
  for (const Group& group : groups) {
    AddParts(splitter.Add(group.ids, group.text_bytes), &parts);
    for (const TokenId id : group.ids) decoder.Push(id);
    ids.insert(ids.end(), group.ids.begin(), group.ids.end());
  }
  decoder.Finish();
  const std::string& text = decoder.decided();
  AddParts(splitter.Finish(text.size()), &parts);
  CheckParts(parts, text);

  ReplySplitter at_once(tokenizer, format, options);
  ReplyParts whole;
  AddParts(at_once.Add(ids, text.size()), &whole);
  AddParts(at_once.Finish(text.size()), &whole);
  TANDEM_CHECK(parts == whole);
  ReplyFormat plain;
  TANDEM_CHECK(SplitReply(tokenizer, plain, options, ids).content == text);
}

}  // namespace
}  // namespace tandem

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  tandem::TryInput(
      absl::string_view(reinterpret_cast<const char*>(data), size));
  return 0;
}
