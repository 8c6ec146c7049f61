#include "engine/tokenizer/tokenizer.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "engine/base/error_reason.h"
#include "tests/engine/tokenizer/bpe_vocabulary.h"
#include "tests/engine/tokenizer/test_vocabulary.h"

namespace tandem {
namespace {

constexpr char kModels[] = TANDEM_SOURCE_DIR "/deploy/models/";

TEST(TokenizerTest, RefusesOtherModelsByName) {
  for (const std::string model : {"bert", "rwkv", ""}) {
    GgufWriter writer;
    writer.SetString("tokenizer.ggml.model", model);
    const absl::Status status = MakeTokenizer(writer).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    ASSERT_TRUE(GetErrorDetail(status).has_value());
    EXPECT_EQ(GetErrorDetail(status)->reason, kReasonUnsupportedModel);
    EXPECT_TRUE(absl::StrContains(status.message(), "'" + model + "'"))
        << status;
  }
}

TEST(TokenizerTest, RefusesAFileWithoutModel) {
  const absl::Status absent = MakeTokenizer(GgufWriter()).status();
  EXPECT_EQ(absent.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(GetErrorDetail(absent)->reason, kReasonMalformedFile);
  GgufWriter number;
  number.SetUint32("tokenizer.ggml.model", 1);
  const absl::Status status = MakeTokenizer(number).status();
  EXPECT_EQ(GetErrorDetail(status)->reason, kReasonMalformedFile);
  EXPECT_TRUE(absl::StrContains(status.message(), "must be a string"));
}

TEST(TokenizerTest, ParsesSpecialTokensWhereAskedTo) {
  TestVocabulary vocabulary = TestVocabulary::WithBytes();
  const TokenId a = vocabulary.Add("a");
  const TokenId space = vocabulary.Add("\u2581");
  const TokenId user_defined = vocabulary.Add("<u>", TokenKind::kUserDefined);
  const auto tokenizer = MakeTokenizer(vocabulary);
  using Ids = std::vector<TokenId>;
  const EncodeOptions parsed = {.parse_special = true};
  // Each text after a special token begins as a text does.
  EXPECT_EQ(tokenizer->Encode("a<s></s>a<u>", parsed),
            (Ids{space, a, 1, 2, space, a, user_defined}));
  EXPECT_EQ(tokenizer->Encode("<s>", {.add_bos = true, .parse_special = true}),
            (Ids{1, 1}));
  EXPECT_EQ(tokenizer->Encode("<s", parsed), (Ids{space, 3 + '<', 3 + 's'}));
  // Byte tokens have no name in a text.
  EXPECT_EQ(tokenizer->Encode("<0x41>", parsed).size(), 7u);
  EXPECT_EQ(tokenizer->Encode("", parsed), Ids{});
}

TEST(TokenizerTest, ReadsTheChatTemplates) {
  const GgufWriter plain = TestVocabulary::WithBytes().Writer();
  EXPECT_TRUE((*MakeTokenizer(plain))->chat_template().names().empty());
  EXPECT_FALSE((*MakeTokenizer(plain))->chat_template().Check({}).ok());
  GgufWriter writer = plain;
  writer.SetString("tokenizer.chat_template.tool_use", "{{ eos_token }}");
  writer.SetString("tokenizer.chat_template",
                   "{{ bos_token }}{{ unk_token }}{{ pad_token is defined }}");
  writer.SetStringArray("tokenizer.chat_templates", {"tool_use"});
  const auto tokenizer = std::move(MakeTokenizer(writer).value());
  const ChatTemplate& chat = tokenizer->chat_template();
  EXPECT_TRUE(chat.Check({}).ok()) << chat.Check({});
  EXPECT_EQ(chat.names(), (std::vector<std::string>{"default", "tool_use"}));
  const auto parts = chat.Render({.messages = {{ChatRole::kUser, "u"}},
                                  .options = {},
                                  .today = "2026-11-28"});
  ASSERT_TRUE(parts.ok()) << parts.status();
  EXPECT_EQ(*parts, (std::vector<TextPart>{{"<s><unk>False", false}}));
  // A template that can not be run does not keep the model from loading.
  GgufWriter hostile = plain;
  hostile.SetString("tokenizer.chat_template", std::string(10 << 20, '{'));
  EXPECT_FALSE((*MakeTokenizer(hostile))->chat_template().Check({}).ok());
  for (const std::string key :
       {"tokenizer.chat_template", "tokenizer.chat_template.a"}) {
    GgufWriter number = plain;
    number.SetUint32(key, 1);
    EXPECT_EQ(GetErrorDetail(MakeTokenizer(number).status())->reason,
              kReasonMalformedFile);
  }
}

// A worker hands merges, pre-tokeniser and template on with the rest.
TEST(TokenizerTest, TheImageOfAByteLevelVocabularyIsWhole) {
  BpeVocabulary vocabulary = BpeVocabulary::WithBytes();
  vocabulary.pre = "llama-bpe";
  const TokenId merged = vocabulary.Merge("a", "b");
  GgufWriter writer = vocabulary.Writer();
  writer.SetString("tokenizer.chat_template", "<|im_start|>");
  const auto file = GgufFile::FromBytes(writer.Serialize(), "file");
  ASSERT_TRUE(file.ok()) << file.status();
  const auto image = GgufFile::FromBytes(TokenizerImage(**file), "image");
  ASSERT_TRUE(image.ok()) << image.status();
  const auto tokenizer = Tokenizer::FromGguf(**image);
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
  EXPECT_EQ((*tokenizer)->Encode("abab", false),
            (std::vector<TokenId>{merged, merged}));
  EXPECT_TRUE((*tokenizer)->chat_template().Check({}).ok());
  EXPECT_TRUE((*tokenizer)->adds_bos());
}

// The largest known vocabularies have 262,144 tokens and twice as many merges.
TEST(TokenizerTest, TakesManyMerges) {
  BpeVocabulary vocabulary = BpeVocabulary::WithBytes();
  // All pairs of 512 tokens.
  std::vector<std::string> tokens;
  for (char a = 'a'; a < 'a' + 16; ++a) {
    for (char b = 'A'; b < 'A' + 16; ++b) {
      tokens.push_back({a, b});
      vocabulary.Merge(tokens.back().substr(0, 1), tokens.back().substr(1));
    }
  }
  for (const std::string& left : tokens) {
    for (const std::string& right : tokens) vocabulary.Merge(left, right);
  }
  const auto tokenizer = MakeTokenizer(vocabulary.Writer());
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
  EXPECT_EQ((*tokenizer)->vocab_size(), 256 + 256 + 65536);
  EXPECT_EQ((*tokenizer)->Encode("pPaA", false),
            (std::vector<TokenId>{256 + 256 + 255 * 256}));
}

TEST(TokenizerTest, DecodesWithAndWithoutSpecialTokens) {
  TestVocabulary vocabulary = TestVocabulary::WithBytes();
  const TokenId hello = vocabulary.Add("\u2581hello");
  const TokenId world = vocabulary.Add("\u2581world");
  const auto tokenizer = MakeTokenizer(vocabulary);
  const std::vector<TokenId> ids = {1, hello, world, 2};
  EXPECT_EQ(tokenizer->Decode(ids, /*skip_special=*/true), "hello world");
  EXPECT_EQ(tokenizer->Decode(ids, /*skip_special=*/false),
            "<s>hello world</s>");
  EXPECT_EQ(tokenizer->Decode({}, /*skip_special=*/true), "");
  // Only one space is taken away, and only at the start.
  EXPECT_EQ(tokenizer->Decode({3 + ' ', hello}, true), " hello");
  EXPECT_EQ(tokenizer->TokenText(hello, true), " hello");
}

// The ids that end a generation.
std::vector<TokenId> EndsOf(const Tokenizer& tokenizer) {
  std::vector<TokenId> ends;
  for (TokenId id = 0; id < tokenizer.vocab_size(); ++id) {
    if (tokenizer.IsEndOfGeneration(id)) ends.push_back(id);
  }
  return ends;
}

TEST(TokenizerTest, EndsAreThoseThatTheFileNames) {
  TestVocabulary vocabulary = TestVocabulary::WithSpecials();
  for (const char* piece : {"a", "<eot>", "<eom>", "<more>", "b"}) {
    vocabulary.Add(piece);
  }
  GgufWriter writer = vocabulary.Writer();
  writer.SetUint32("tokenizer.ggml.eos_token_id", 3);
  writer.SetUint32("tokenizer.ggml.eot_token_id", 4);
  writer.SetUint32("tokenizer.ggml.eom_token_id", 5);
  writer.SetInt32Array("tokenizer.ggml.eos_token_ids", {3, 6});
  const auto tokenizer = MakeTokenizer(writer);
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
  // </s> by its name.
  EXPECT_EQ(EndsOf(**tokenizer), (std::vector<TokenId>{2, 3, 4, 5, 6}));
}

// A file whose EOS is another token.
TEST(TokenizerTest, EndsAreSpecialTokensOfKnownNames) {
  BpeVocabulary vocabulary = BpeVocabulary::WithBytes();
  const TokenId eos = vocabulary.Add("<stop>", TokenKind::kControl);
  std::vector<TokenId> ends = {eos};
  for (const char* name : {"<end_of_utterance>", "<|return|>", "</s>",
                           "<end_of_turn>", "[EOS]", "_<EOT>"}) {
    ends.push_back(vocabulary.Add(name, TokenKind::kControl));
  }
  ends.push_back(vocabulary.Add("<|eot_id|>", TokenKind::kUserDefined));
  vocabulary.Add("<|im_end|>");                      // an ordinary text
  vocabulary.Add("<EOT>", TokenKind::kUserDefined);  // no marker's spelling
  vocabulary.Add("<|start|>", TokenKind::kControl);
  GgufWriter writer = vocabulary.Writer();
  writer.SetUint32("tokenizer.ggml.eos_token_id", static_cast<uint32_t>(eos));
  EXPECT_EQ(EndsOf(**MakeTokenizer(writer)), ends);
}

TEST(TokenizerTest, OrdinaryTextIsNoEnd) {
  BpeVocabulary vocabulary = BpeVocabulary::WithBytes();
  for (const char* name : {"</s>", "<|endoftext|>", "<end_of_turn>"}) {
    vocabulary.Add(name);
  }
  EXPECT_EQ(EndsOf(**MakeTokenizer(vocabulary.Writer())),
            std::vector<TokenId>());
}

// In gpt-oss a message ends with <|end|> and the reply with another token.
TEST(TokenizerTest, TheEndOfAMessageIsNotThatOfAReply) {
  BpeVocabulary vocabulary = BpeVocabulary::WithBytes();
  const TokenId returns = vocabulary.Add("<|return|>", TokenKind::kControl);
  const TokenId end = vocabulary.Add("<|end|>", TokenKind::kControl);
  EXPECT_EQ(EndsOf(**MakeTokenizer(vocabulary.Writer())),
            (std::vector<TokenId>{returns, end}));
  const TokenId call = vocabulary.Add("<|call|>", TokenKind::kControl);
  EXPECT_EQ(EndsOf(**MakeTokenizer(vocabulary.Writer())),
            (std::vector<TokenId>{returns, call}));
  // Unless the file itself names it.
  GgufWriter writer = vocabulary.Writer();
  writer.SetUint32("tokenizer.ggml.eot_token_id", static_cast<uint32_t>(end));
  EXPECT_EQ(EndsOf(**MakeTokenizer(writer)),
            (std::vector<TokenId>{returns, end, call}));
}

// As Qwen2's tokenizer: without NFC "e" and U+0301 are two tokens.
TEST(TokenizerTest, QwensVocabulariesNormalizeTexts) {
  BpeVocabulary vocabulary = BpeVocabulary::WithBytes();
  const TokenId composed = vocabulary.Merge("\xc3", "\xa9");
  const TokenId accent = vocabulary.Merge("\xcc", "\x81");
  const TokenId marked = vocabulary.Add("e\u0301", TokenKind::kUserDefined);
  vocabulary.Add("<|im_end|>", TokenKind::kControl);
  using Ids = std::vector<TokenId>;
  for (const char* pre : {"qwen2", "deepseek-r1-qwen"}) {
    vocabulary.pre = pre;
    const auto tokenizer = MakeTokenizer(vocabulary.Writer());
    ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
    // User-defined tokens are found before.
    EXPECT_EQ((*tokenizer)->Encode("e\u0301", false), Ids{marked});
    const std::string text = "xe\u0323\u0301 a\u00e9";
    EXPECT_EQ((*tokenizer)->Decode((*tokenizer)->Encode(text, false), true),
              "x\u1eb9\u0301 a\u00e9");
    EXPECT_EQ((*tokenizer)->Encode("\u0301\u00e9", false),
              (Ids{accent, composed}));
    // What is apart does not compose: nor over special tokens.
    EXPECT_EQ(
        (*tokenizer)->Encode("e<|im_end|>\u0301", {.parse_special = true}),
        (Ids{'e', marked + 1, accent}));
    EXPECT_EQ((*tokenizer)->Encode("e\xff\u0301", false),
              (Ids{'e', 0xff, accent}));
  }
  vocabulary.pieces.pop_back();
  vocabulary.types.pop_back();
  vocabulary.pieces.back() = "<other>";
  vocabulary.pre = "qwen2";
  EXPECT_EQ((*MakeTokenizer(vocabulary.Writer()))->Encode("e\u0301", false),
            Ids{composed});
  vocabulary.pre = "llama-bpe";
  EXPECT_EQ((*MakeTokenizer(vocabulary.Writer()))->Encode("e\u0301", false),
            (Ids{'e', accent}));
}

TEST(TokenizerTest, RefusesANormalizationThatIsNotMade) {
  const auto refusal = [](bool removes_spaces,
                          const std::vector<int32_t>& charsmap) {
    GgufWriter writer = TestVocabulary::WithBytes().Writer();
    writer.SetBool("tokenizer.ggml.remove_extra_whitespaces", removes_spaces);
    writer.SetInt32Array("tokenizer.ggml.precompiled_charsmap", charsmap);
    return MakeTokenizer(writer).status();
  };
  EXPECT_TRUE(refusal(false, {}).ok()) << refusal(false, {});
  const std::pair<absl::Status, std::string> asking[] = {
      {refusal(true, {}),
       "key 'tokenizer.ggml.remove_extra_whitespaces': asks for"},
      {refusal(false, {1, 2}),
       "key 'tokenizer.ggml.precompiled_charsmap': asks for"}};
  for (const auto& [status, named] : asking) {
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    ASSERT_TRUE(GetErrorDetail(status).has_value());
    EXPECT_EQ(GetErrorDetail(status)->reason, kReasonUnsupportedModel);
    EXPECT_TRUE(absl::StrContains(status.message(), named)) << status;
  }
}

TEST(TokenizerTest, TheDemoPairHasOneVocabulary) {
  std::vector<std::unique_ptr<Tokenizer>> tokenizers;
  for (const std::string name : {"tales-draft-q8_0", "tales-target-q8_0"}) {
    const auto file = GgufFile::Open(kModels + name + ".gguf");
    ASSERT_TRUE(file.ok()) << file.status();
    auto tokenizer = Tokenizer::FromGguf(**file);
    ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
    EXPECT_EQ((*tokenizer)->vocabulary_fingerprint().size(), 64u);
    // What a worker hands to a coordinator makes the same tokenizer.
    const auto image = GgufFile::FromBytes(TokenizerImage(**file), "image");
    ASSERT_TRUE(image.ok()) << image.status();
    const auto copy = Tokenizer::FromGguf(**image);
    ASSERT_TRUE(copy.ok()) << copy.status();
    EXPECT_EQ((*copy)->vocabulary_fingerprint(),
              (*tokenizer)->vocabulary_fingerprint());
    tokenizers.push_back(std::move(*tokenizer));
  }
  EXPECT_TRUE(CheckSameVocabulary(*tokenizers[0], *tokenizers[1]).ok());
}

void ExpectMismatch(const Tokenizer& draft, const Tokenizer& target,
                    absl::string_view what) {
  EXPECT_NE(draft.vocabulary_fingerprint(), target.vocabulary_fingerprint());
  const absl::Status status = CheckSameVocabulary(draft, target);
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  ASSERT_TRUE(GetErrorDetail(status).has_value());
  EXPECT_EQ(GetErrorDetail(status)->reason, kReasonVocabularyMismatch);
  EXPECT_TRUE(absl::StrContains(status.message(), what)) << status;
}

TEST(TokenizerTest, NamesTheFirstTokenThatDiffers) {
  TestVocabulary base = TestVocabulary::WithSpecials();
  base.Add("a");
  base.Add("b");
  const auto target = MakeTokenizer(base);
  EXPECT_TRUE(CheckSameVocabulary(*MakeTokenizer(base), *target).ok());

  TestVocabulary piece = base;
  piece.pieces[3] = "c";
  piece.pieces[4] = "d";
  ExpectMismatch(*MakeTokenizer(piece), *target,
                 "the first token that differs is 3: 'c' (normal) in the "
                 "draft, 'a' (normal) in the target");
  TestVocabulary kind = base;
  kind.types[4] = static_cast<int32_t>(TokenKind::kUserDefined);
  ExpectMismatch(*MakeTokenizer(kind), *target,
                 "4: 'b' (user-defined) in the draft, 'b' (normal)");
  TestVocabulary longer = base;
  longer.Add("e");
  ExpectMismatch(*MakeTokenizer(longer), *target,
                 "5: 'e' (normal) in the draft, missing in the target (6 and 5 "
                 "tokens)");
  ExpectMismatch(*target, *MakeTokenizer(longer),
                 "5: missing in the draft, 'e' (normal) in the target");
  longer.types[5] = static_cast<int32_t>(TokenKind::kByte);
  longer.pieces[5] = "<0x41>";
  ExpectMismatch(*target, *MakeTokenizer(longer),
                 "5: missing in the draft, '<0x41>' (byte) in the target");
}

void ExpectPair(const Tokenizer& a, const Tokenizer& b) {
  EXPECT_NE(a.vocabulary_fingerprint(), b.vocabulary_fingerprint());
  EXPECT_TRUE(CheckSameVocabulary(a, b).ok()) << CheckSameVocabulary(a, b);
  EXPECT_TRUE(CheckSameVocabulary(b, a).ok()) << CheckSameVocabulary(b, a);
}

// As those of Qwen2.5 0.5B and 7B: 151,936 and 152,064 tokens.
TEST(TokenizerTest, PairsMayDifferByFillers) {
  TestVocabulary base = TestVocabulary::WithSpecials();
  base.Add("a");
  const auto target = MakeTokenizer(base);
  TestVocabulary longer = base;
  longer.Add("[PAD4]", TokenKind::kUnused);
  longer.Add("[PAD5]", TokenKind::kUserDefined);
  longer.Add("<|tool|>", TokenKind::kControl);
  longer.Add("<|mark|>", TokenKind::kUserDefined);
  ExpectPair(*MakeTokenizer(longer), *target);
  // The name of a filler is that of its own id.
  TestVocabulary other = base;
  other.Add("[PAD5]", TokenKind::kUserDefined);
  ExpectMismatch(*MakeTokenizer(other), *target,
                 "4: '[PAD5]' (user-defined) in the draft, missing");
  // One real token behind them.
  longer.Add("b");
  ExpectMismatch(*MakeTokenizer(longer), *target,
                 "8: 'b' (normal) in the draft, missing in the target");
}

// They decide nothing that a drafter could change.
TEST(TokenizerTest, PairsMayNameOtherSpecialTokens) {
  BpeVocabulary base = BpeVocabulary::WithBytes();
  const TokenId space = base.Add(SpellBytes(" a"));
  const auto target = MakeTokenizer(base.Writer());
  for (const std::string name :
       {"bos", "eos", "eot", "eom", "unknown", "padding"}) {
    GgufWriter writer = base.Writer();
    writer.SetUint32("tokenizer.ggml." + name + "_token_id",
                     static_cast<uint32_t>(space));
    ExpectPair(**MakeTokenizer(writer), **target);
  }
}

TEST(TokenizerDeathTest, StopsOnIdsOutOfRange) {
  const auto tokenizer = MakeTokenizer(TestVocabulary::WithSpecials());
  EXPECT_DEATH(tokenizer->TokenText(-1, false), "");
  EXPECT_DEATH(tokenizer->piece(3), "");
  EXPECT_DEATH(tokenizer->kind(INT32_MAX), "");
}

}  // namespace
}  // namespace tandem
