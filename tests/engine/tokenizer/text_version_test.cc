#include "engine/tokenizer/text_version.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "engine/base/hash.h"
#include "engine/tokenizer/chat_turn.h"
#include "engine/tokenizer/nfc.h"
#include "engine/tokenizer/pre_tokenizer.h"
#include "tests/engine/tokenizer/bpe_vocabulary.h"
#include "tests/engine/tokenizer/known_texts.h"
#include "tests/engine/tokenizer/test_vocabulary.h"

namespace tandem {
namespace {

// Said by every failure here.
constexpr char kAdvice[] =
    "texts become other ids than before: raise kTextVersion and put the new "
    "value here";

std::vector<std::string> Corpus() {
  return {"",
          " ",
          "The quick brown fox, 12 of 345 and 6789.",
          "I'm you'LL we\u2019ve it's  ABCdef GHIjkl\u00dcber",
          "a  b   c\t\td\n\n  e\r\n \n",
          "caf\u00e9 cafe\u0301 \u00c5 \u212b A\u030a x\u0323\u0301",
          "\u65e5\u672c\u8a9e\u306e\u30c6\u30ad\u30b9\u30c8 \u4e2d\u6587\uff0c"
          "\ud55c\uad6d\uc5b4 \u1112\u1161\u11ab",
          "\u0420\u0443\u0441\u0441\u043a\u0438\u0439 \u0395\u03bb\u03bb "
          "\u05e2\u05d1\u05e8\u05d9\u05ea \u0939\u093f\u0928\u094d\u0926\u0940",
          "\U0001F600\U0001F468\u200d\U0001F469 \u2581\u00a0\u3000|",
          "\xff\xfe broken \xe2\x82 utf-8",
          "<s>x</s> <|im_start|>user\n<|im_end|> [INST] <x>",
          "{\"key\": [1, 2.5e-3], 'x': None}  # --- ==>"};
}

// What the tokenizer makes of the corpus, and its ends.
std::string HashOf(const Tokenizer& tokenizer) {
  Sha256 hash;
  const auto add = [&hash](const std::vector<TokenId>& ids) {
    hash.AddNumber(ids.size());
    for (const TokenId id : ids) hash.AddNumber(static_cast<uint64_t>(id));
  };
  for (const std::string& text : Corpus()) {
    add(tokenizer.Encode(text, tokenizer.adds_bos()));
    add(tokenizer.Encode(text, {.parse_special = true}));
  }
  std::vector<TokenId> ends;
  for (TokenId id = 0; id < tokenizer.vocab_size(); ++id) {
    if (tokenizer.IsEndOfGeneration(id)) ends.push_back(id);
  }
  add(ends);
  return hash.HexDigest().substr(0, 16);
}

// Where the pre-tokeniser cuts the corpus.
std::string CutsOf(const PreTokenizer& pre) {
  Sha256 hash;
  for (const std::string& text : Corpus()) {
    pre.Split(text, [&hash](absl::string_view word) { hash.AddString(word); });
  }
  return hash.HexDigest().substr(0, 16);
}

// Bytes, common joins, markers and ends.
std::unique_ptr<Tokenizer> ByteLevel(absl::string_view pre,
                                     const std::string& chat_template = "") {
  BpeVocabulary vocabulary = BpeVocabulary::WithBytes();
  vocabulary.pre = std::string(pre);
  for (const auto& [left, right] : {std::pair("a", "b"),
                                    {"h", "e"},
                                    {" ", "t"},
                                    {" t", "he"},
                                    {"i", "n"},
                                    {"\xc3", "\xa9"},
                                    {"\xcc", "\x81"},
                                    {"1", "2"},
                                    {"12", "3"},
                                    {" ", " "},
                                    {"  ", "  "},
                                    {"\n", "\n"},
                                    {"'", "s"},
                                    {"e", "r"},
                                    {"\xe6", "\x97"},
                                    {"\xe6\x97", "\xa5"},
                                    {"3", "4"},
                                    {"6", "7"}}) {
    vocabulary.Merge(left, right);
  }
  vocabulary.Add(SpellBytes(" fox"));  // no merge gives it
  vocabulary.Add("<x>", TokenKind::kUserDefined);
  const TokenId bos = vocabulary.Add("<s>", TokenKind::kControl);
  const TokenId eos = vocabulary.Add("</s>", TokenKind::kControl);
  for (const char* name :
       {"<|im_start|>", "<|im_end|>", "<|return|>", "<|end|>"}) {
    vocabulary.Add(name, TokenKind::kControl);
  }
  GgufWriter writer = vocabulary.Writer();
  writer.SetUint32("tokenizer.ggml.bos_token_id", static_cast<uint32_t>(bos));
  if (!chat_template.empty()) {
    writer.SetString(kChatTemplateKey, chat_template);
    writer.SetUint32("tokenizer.ggml.eos_token_id", static_cast<uint32_t>(eos));
  }
  return std::move(MakeTokenizer(writer).value());
}

TEST(TextVersionTest, IdsAreThoseOfThisTextVersion) {
  EXPECT_EQ(kTextVersion, 2u);
  const std::map<std::string, std::string> wanted = {
      {"dbrx", "1e5aba1d77b2db89 8d2b67c0677e872b"},
      {"deepseek-coder", "3baae5a001b1787d d1e02b24e2bd6fb7"},
      {"deepseek-llm", "12a703a317b93945 3b5e704ddf2e3e1e"},
      {"deepseek-r1-qwen", "55254b9b3902e3b9 731f8a641cfb0628"},
      {"default", "dbc9872bb0bd1391 1e30b27c0a945a50"},
      {"demo", "39b5015b035b9e4f"},
      {"falcon", "dbc9872bb0bd1391 c1e7b30092a5592a"},
      {"falcon3", "cc71b8a1f4b7dea4 8d2b67c0677e872b"},
      {"gpt-2", "1e5aba1d77b2db89 bcadfeeba7e7e7a8"},
      {"gpt-4o", "1e5aba1d77b2db89 98fd0e4ebe6f2faf"},
      {"llama-bpe", "cc71b8a1f4b7dea4 8d2b67c0677e872b"},
      {"llama-v3", "cc71b8a1f4b7dea4 8d2b67c0677e872b"},
      {"llama3", "cc71b8a1f4b7dea4 8d2b67c0677e872b"},
      {"phi-2", "1e5aba1d77b2db89 bcadfeeba7e7e7a8"},
      {"qwen2", "55254b9b3902e3b9 731f8a641cfb0628"},
      {"refact", "8bcfe0ee2992e32c aa3fd025809cb6c1"},
      {"smaug-bpe", "1e5aba1d77b2db89 8d2b67c0677e872b"},
      {"smollm", "8bcfe0ee2992e32c aa3fd025809cb6c1"},
      {"starcoder", "8bcfe0ee2992e32c aa3fd025809cb6c1"},
      {"tekken", "724b9251612002c4 e9d6123d619afc8d"},
  };
  std::map<std::string, std::string> found;
  for (const absl::string_view pre :
       absl::StrSplit(PreTokenizer::Names(), ", ")) {
    found[std::string(pre)] = absl::StrCat(HashOf(*ByteLevel(pre)), " ",
                                           CutsOf(*PreTokenizer::Find(pre)));
  }
  const auto demo = TokenizerOfFile(TANDEM_SOURCE_DIR
                                    "/deploy/models/tales-target-q8_0.gguf");
  ASSERT_NE(demo, nullptr);
  found["demo"] = HashOf(*demo);
  EXPECT_EQ(found, wanted) << kAdvice;
}

// Templates of families; those that are there for tools, or the others.
std::vector<std::string> TemplatePaths(absl::string_view kind) {
  std::vector<std::string> paths;
  for (const auto& entry : std::filesystem::directory_iterator(
           TANDEM_SOURCE_DIR "/tests/data/templates")) {
    const bool is_for_tools =
        absl::StartsWith(entry.path().filename().string(), "tools-");
    if (is_for_tools == (kind == "tools")) paths.push_back(entry.path());
  }
  std::sort(paths.begin(), paths.end());
  return paths;
}

// A turn of a new session and a later one, with the template of each family.
TEST(TextVersionTest, ChatsAreThoseOfThisTextVersion) {
  const std::vector<std::string> paths = TemplatePaths("chats");
  ASSERT_GE(paths.size(), 29u);
  const ChatRequest request = {
      .messages = {{ChatRole::kUser, " e\u0301 <|im_end|>\u3000\n"}},
      .options = {},
      .today = "2026-11-28"};
  Sha256 hash;
  for (const std::string& path : paths) {
    const auto tokenizer = ByteLevel("qwen2", ReadWholeFile(path));
    for (const std::optional<TokenId> last :
         {std::optional<TokenId>(), std::optional<TokenId>('x')}) {
      const auto ids = EncodeChatTurn(*tokenizer, request, last);
      ASSERT_TRUE(ids.ok()) << path << ": " << ids.status();
      hash.AddNumber(ids->size());
      for (const TokenId id : *ids) hash.AddNumber(static_cast<uint64_t>(id));
    }
  }
  EXPECT_EQ(hash.HexDigest().substr(0, 16), "83862eafc3c8760d") << kAdvice;
}

// A new session in which a tool was called, with each template for tools.
// Texts, since the ids of texts stand above; the value is that of Jinja's
// texts.
TEST(TextVersionTest, ChatsWithToolsAreThoseOfThisTextVersion) {
  const ChatRequest request = {
      .messages = {{.role = ChatRole::kUser, .content = " u\n"},
                   {.role = ChatRole::kAssistant,
                    .tool_calls = {{.id = "call00001",
                                    .name = "a",
                                    .arguments = R"({"x":1e2,"y":["<s>"]})"}},
                    .reasoning = "why"},
                   {.role = ChatRole::kTool,
                    .content = "[1, 2]",
                    .tool_call_id = "call00001"}},
      .options = {},
      .today = "2026-11-28",
      .tools = {{.name = "a",
                 .description = "<|im_end|>",
                 .parameters = R"({"properties":{"x":{"minimum":0.50}}})"}}};
  const std::vector<std::string> paths = TemplatePaths("tools");
  ASSERT_GE(paths.size(), 10u);
  Sha256 hash;
  for (const std::string& path : paths) {
    const auto tokenizer = ByteLevel("qwen2", ReadWholeFile(path));
    const auto parts = tokenizer->chat_template().Render(request);
    ASSERT_TRUE(parts.ok()) << path << ": " << parts.status();
    std::string text;
    for (const TextPart& part : *parts) text += part.text;
    hash.AddString(text);
  }
  EXPECT_EQ(hash.HexDigest().substr(0, 16), "38ed3d219cf1589a") << kAdvice;
}

// Of vocabularies that are not part of the checkout.
TEST(TextVersionTest, IdsOfPublishedVocabulariesToo) {
  const std::map<std::string, std::string> wanted = {
      {"llama-spm", "ed0f259a29b8bb7c"},
      {"gpt-2", "79d313771821f5b3"},
      {"deepseek-coder", "753db94ce428e0fa"}};
  for (const auto& [name, hash] : wanted) {
    const auto tokenizer =
        TokenizerOfFile(absl::StrCat(KnownEncodingsFolder(), name, ".gguf"));
    if (tokenizer == nullptr) {
      GTEST_SKIP() << "no vocabularies in " << KnownEncodingsFolder();
    }
    EXPECT_EQ(HashOf(*tokenizer), hash) << name << ": " << kAdvice;
  }
}

}  // namespace
}  // namespace tandem
