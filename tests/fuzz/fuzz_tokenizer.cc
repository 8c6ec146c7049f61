// Fuzz target: tokenizers and stream decoder. Bytes that begin with "GGUF" are
// a vocabulary to be read; others are a text for fixed ones (SentencePiece, and
// byte-level BPE with each pre-tokeniser), the first byte being the length of a
// stop string that the text begins with.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "engine/base/check.h"
#include "engine/gguf/gguf_file.h"
#include "engine/tokenizer/nfc.h"
#include "engine/tokenizer/pre_tokenizer.h"
#include "engine/tokenizer/stream_decoder.h"
#include "engine/tokenizer/tokenizer.h"
#include "tests/engine/tokenizer/bpe_vocabulary.h"
#include "tests/engine/tokenizer/test_vocabulary.h"
#include "tests/fuzz/whole_utf8.h"

namespace tandem {
namespace {

std::vector<std::unique_ptr<Tokenizer>> MakeBpeTokenizers() {
  std::vector<std::unique_ptr<Tokenizer>> tokenizers;
  for (const absl::string_view pre :
       absl::StrSplit(PreTokenizer::Names(), ", ")) {
    BpeVocabulary vocabulary = BpeVocabulary::WithBytes();
    vocabulary.pre = std::string(pre);
    for (const auto& [left, right] : {std::pair("a", "b"),
                                      {"b", "a"},
                                      {"ab", "a"},
                                      {" ", "a"},
                                      {"\xc3", "\xa9"},
                                      {"<", "s"},
                                      {"1", "2"},
                                      {"12", "3"},
                                      {" ", " "},
                                      {"  ", "  "},
                                      {"\n", "\n"},
                                      {"'", "s"}}) {
      vocabulary.Merge(left, right);
    }
    vocabulary.Add("<s>", TokenKind::kControl);
    vocabulary.Add("<x>", TokenKind::kUserDefined);
    vocabulary.Add("   ", TokenKind::kUserDefined);
    tokenizers.push_back(std::move(MakeTokenizer(vocabulary.Writer()).value()));
  }
  return tokenizers;
}

// All of them, made once.
const std::vector<std::unique_ptr<Tokenizer>>& BpeTokenizers() {
  static const auto* const tokenizers =
      new std::vector<std::unique_ptr<Tokenizer>>(MakeBpeTokenizers());
  return *tokenizers;
}

const Tokenizer& FixedTokenizer() {
  static const Tokenizer* const tokenizer = [] {
    TestVocabulary vocabulary = TestVocabulary::WithBytes();
    float score = 0;
    for (const char* piece :
         {"\u2581", "a", "b", "ab", "ba", "aa", "\u2581a", "aba", "\u00e9",
          "\u00e9a", "<", ">", "s", "<s", "s>"}) {
      vocabulary.Add(piece, TokenKind::kNormal, score -= 0.5f);
    }
    vocabulary.Add("  ", TokenKind::kUserDefined);
    vocabulary.Add("<x>", TokenKind::kUserDefined);
    vocabulary.Add("<x>a", TokenKind::kUserDefined);
    return MakeTokenizer(vocabulary).release();
  }();
  return *tokenizer;
}

// Looks at what each token adds, once: linear in the text.
void TryStream(const Tokenizer& tokenizer, const std::vector<TokenId>& ids,
               const std::vector<std::string>& stops) {
  StreamDecoder decoder(&tokenizer, stops);
  std::string joined;
  const auto take = [&decoder, &joined] {
    TANDEM_CHECK(decoder.decided().size() >= joined.size());
    const std::string added = decoder.decided().substr(joined.size());
    TANDEM_CHECK(IsWholeUtf8(added));
    joined += added;
  };
  for (const TokenId id : ids) {
    const bool stopped = decoder.Push(id);
    take();
    if (stopped) break;
  }
  decoder.Finish();
  take();
  TANDEM_CHECK(joined == decoder.decided());
  for (const std::string& stop : stops) {
    TANDEM_CHECK(!absl::StrContains(joined, stop));
  }
}

// Special tokens but the unknown one come from text only where they were asked
// for.
void TrySpecial(const Tokenizer& tokenizer, absl::string_view text) {
  for (const TokenId id : tokenizer.Encode(text, /*add_bos=*/false)) {
    TANDEM_CHECK(!tokenizer.TokenText(id, /*skip_special=*/true).empty() ||
                 tokenizer.special().unknown == id);
  }
  const std::vector<TokenId> ids =
      tokenizer.Encode(text, EncodeOptions{.parse_special = true});
  for (const TokenId id : ids) {
    TANDEM_CHECK(id >= 0 && id < tokenizer.vocab_size());
  }
}

constexpr EncodeOptions kParseSpecial = {.parse_special = true};

// Some tokenizers bring texts to NFC.
bool IsSameText(absl::string_view decoded, absl::string_view text) {
  std::string buffers[2];
  return decoded == text ||
         ToNfc(decoded, &buffers[0]) == ToNfc(text, &buffers[1]);
}

void TryText(absl::string_view input) {
  if (input.empty()) return;
  const absl::string_view text = input.substr(1);
  for (const std::unique_ptr<Tokenizer>& bpe : BpeTokenizers()) {
    const std::vector<TokenId> ids = bpe->Encode(text, /*add_bos=*/true);
    TANDEM_CHECK(IsSameText(bpe->Decode(ids, /*skip_special=*/true), text));
    TrySpecial(*bpe, text);
    TANDEM_CHECK(IsSameText(bpe->Decode(bpe->Encode(text, kParseSpecial),
                                        /*skip_special=*/false),
                            text));
  }
  const Tokenizer& tokenizer = FixedTokenizer();
  TrySpecial(tokenizer, text);
  const std::vector<TokenId> ids = tokenizer.Encode(text, /*add_bos=*/true);
  TANDEM_CHECK(tokenizer.Decode(ids, /*skip_special=*/true) == text);
  TryStream(tokenizer, ids, {});
  const std::string stop(text.substr(0, static_cast<uint8_t>(input[0])));
  if (!stop.empty() && IsWholeUtf8(stop)) TryStream(tokenizer, ids, {stop});
}

void TryVocabulary(absl::string_view bytes) {
  const auto file = GgufFile::FromBytes(std::string(bytes), "fuzz");
  if (!file.ok()) return;
  const auto tokenizer = Tokenizer::FromGguf(**file);
  if (!tokenizer.ok()) return;
  const std::vector<TokenId> ids = (*tokenizer)
                                       ->Encode("a <s> \u00e9\u2581 abab\xff",
                                                /*add_bos=*/true);
  for (const TokenId id : ids) {
    TANDEM_CHECK(id >= 0 && id < (*tokenizer)->vocab_size());
  }
  (*tokenizer)->Decode(ids, /*skip_special=*/false);
  TrySpecial(**tokenizer, "a <s> \u00e9\u2581 abab\xff");
  TryStream(**tokenizer, ids, {});
}

}  // namespace
}  // namespace tandem

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::string_view input(reinterpret_cast<const char*>(data), size);
  if (absl::StartsWith(input, "GGUF")) {
    tandem::TryVocabulary(input);
  } else {
    tandem::TryText(input);
  }
  return 0;
}
