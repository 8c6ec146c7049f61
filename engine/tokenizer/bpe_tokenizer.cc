#include "engine/tokenizer/bpe_tokenizer.h"

#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "engine/base/check.h"
#include "engine/base/utf8.h"
#include "engine/gguf/gguf_error.h"
#include "engine/tokenizer/character_class.h"
#include "engine/tokenizer/nfc.h"

namespace tandem {
namespace {

constexpr char kPreKey[] = "tokenizer.ggml.pre";
constexpr char kMergesKey[] = "tokenizer.ggml.merges";
constexpr char kAddBosKey[] = "tokenizer.ggml.add_bos_token";

// The character that spells a byte: itself where it is printable in Latin-1,
// else the next free one from U+0100 on, in the order of bytes.
bool SpellsItself(uint32_t byte) {
  return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) ||
         (byte >= 0xAE && byte <= 0xFF);
}

constexpr uint32_t kSpellingsMax = 0x144;  // 256 + 68 bytes that do not

// The byte that a character spells, by code point; -1: none.
const std::array<int, kSpellingsMax>& ByteOfSpelling() {
  static const std::array<int, kSpellingsMax> bytes = [] {
    std::array<int, kSpellingsMax> table;
    table.fill(-1);
    uint32_t next = 0x100;
    for (int byte = 0; byte < 256; ++byte) {
      const auto code_point = static_cast<uint32_t>(byte);
      table[SpellsItself(code_point) ? code_point : next++] = byte;
    }
    return table;
  }();
  return bytes;
}

// The bytes that `piece` spells, or nothing where it is not all spellings.
std::optional<std::string> BytesOfPiece(absl::string_view piece) {
  const std::array<int, kSpellingsMax>& table = ByteOfSpelling();
  std::string bytes;
  while (!piece.empty()) {
    const Character next = FirstCharacter(piece);
    if (next.code_point >= kSpellingsMax || table[next.code_point] < 0) {
      return std::nullopt;
    }
    bytes.push_back(static_cast<char>(table[next.code_point]));
    piece.remove_prefix(next.bytes);
  }
  return bytes;
}

// False for bytes that no UTF-8 text has.
bool OccursInUtf8(size_t byte) {
  return byte < 0xC0 || (byte > 0xC1 && byte < 0xF5);
}

}  // namespace

absl::StatusOr<std::unique_ptr<Tokenizer>> BpeTokenizer::FromGguf(
    const GgufFile& file) {
  std::unique_ptr<BpeTokenizer> tokenizer(new BpeTokenizer());
  TANDEM_RETURN_IF_ERROR(tokenizer->ReadPreTokenizer(file));
  TANDEM_ASSIGN_OR_RETURN(tokenizer->vocabulary_, ReadVocabulary(file));
  TANDEM_ASSIGN_OR_RETURN(
      tokenizer->adds_bos_,
      file.GetBoolOr(kAddBosKey, tokenizer->pre_tokenizer_->adds_bos()));
  TANDEM_ASSIGN_OR_RETURN(
      tokenizer->adds_space_prefix_,
      file.GetBoolOr("tokenizer.ggml.add_space_prefix", /*absent=*/false));
  TANDEM_RETURN_IF_ERROR(tokenizer->IndexTokens(file));
  TANDEM_RETURN_IF_ERROR(tokenizer->CheckBytes(file, &OccursInUtf8));
  TANDEM_RETURN_IF_ERROR(tokenizer->ReadMerges(file));
  tokenizer->cuts_.AllowAfterWords();
  tokenizer->FinishTokens();
  return tokenizer;
}

absl::Status BpeTokenizer::ReadPreTokenizer(const GgufFile& file) {
  absl::string_view name = "default";
  if (file.FindEntry(kPreKey) != nullptr) {
    TANDEM_ASSIGN_OR_RETURN(name, file.GetString(kPreKey));
  }
  pre_tokenizer_ = PreTokenizer::Find(name);
  if (pre_tokenizer_ != nullptr) return absl::OkStatus();
  return UnsupportedModel(absl::StrCat(
      file.name(), ": key '", kPreKey, "': pre-tokeniser ", QuoteForError(name),
      " is not supported; these are: ", PreTokenizer::Names()));
}

absl::Status BpeTokenizer::IndexTokens(const GgufFile& file) {
  texts_.reserve(vocabulary_.pieces.size());
  is_special_.reserve(vocabulary_.pieces.size());
  // Tokens that are merged to; where a normal token is no spelling, it stands
  // for itself and no text gives it.
  std::vector<TokenId> mergeable;
  for (TokenId id = 0; id < vocabulary_.size(); ++id) {
    const std::string& piece = vocabulary_.pieces[id];
    const TokenKind kind = vocabulary_.kinds[id];
    is_special_.push_back(vocabulary_.IsSpecial(id));
    const bool is_literal =
        is_special_.back() != 0 || kind == TokenKind::kUserDefined;
    std::optional<std::string> bytes;
    if (!is_literal) bytes = BytesOfPiece(piece);
    if (bytes.has_value() && !bytes->empty() && kind != TokenKind::kUnused) {
      mergeable.push_back(id);
    }
    texts_.push_back(bytes.has_value() ? *std::move(bytes) : piece);
  }
  // Only now do all texts stand where they stay.
  mergeable_.reserve(mergeable.size());
  for (const TokenId id : mergeable) {
    TANDEM_RETURN_IF_ERROR(AddMergeable(file, texts_[id], id));
    if (texts_[id].size() == 1) {
      byte_ids_[static_cast<uint8_t>(texts_[id][0])] = id;
    }
  }
  return IndexUserDefined(file);
}

absl::Status BpeTokenizer::ReadMerges(const GgufFile& file) {
  TANDEM_ASSIGN_OR_RETURN(const GgufArray* array,
                          GetRequiredArray(file, kMergesKey));
  const auto* merges =
      std::get_if<std::vector<absl::string_view>>(&array->values);
  if (merges == nullptr) {
    return file.MalformedEntry(kMergesKey, "must be an array of strings");
  }
  merges_.Reserve(merges->size());
  // The reader's limit on array elements is far below 2^32.
  TANDEM_CHECK(merges->size() < UINT32_MAX);
  for (uint32_t rank = 0; rank < merges->size(); ++rank) {
    TANDEM_RETURN_IF_ERROR(ReadMerge(file, (*merges)[rank], rank));
  }
  return absl::OkStatus();
}

absl::Status BpeTokenizer::ReadMerge(const GgufFile& file,
                                     absl::string_view text, uint32_t rank) {
  // No spelling is a space, so the one that is there stands between the two.
  const size_t space = text.find(' ');
  if (space == absl::string_view::npos || space == 0 ||
      space + 1 == text.size()) {
    return file.MalformedEntry(
        kMergesKey, absl::StrCat("merge ", rank, ", ", QuoteForError(text),
                                 ", is not two pieces with a space between"));
  }
  const absl::string_view left_piece = text.substr(0, space);
  const absl::string_view right_piece = text.substr(space + 1);
  TANDEM_ASSIGN_OR_RETURN(const TokenId left,
                          FindMergePiece(file, left_piece, rank));
  TANDEM_ASSIGN_OR_RETURN(const TokenId right,
                          FindMergePiece(file, right_piece, rank));
  TANDEM_ASSIGN_OR_RETURN(
      const TokenId merged,
      FindMergePiece(file, absl::StrCat(left_piece, right_piece), rank));
  if (merges_.Add(left, right, {.rank = rank, .merged = merged})) {
    return absl::OkStatus();
  }
  return file.MalformedEntry(
      kMergesKey,
      absl::StrCat("merges ", merges_.Find(left, right)->rank, " and ", rank,
                   " are both ", QuoteForError(text)));
}

absl::StatusOr<TokenId> BpeTokenizer::FindMergePiece(const GgufFile& file,
                                                     absl::string_view piece,
                                                     uint32_t rank) const {
  const std::optional<std::string> bytes = BytesOfPiece(piece);
  if (bytes.has_value()) {
    const auto found = mergeable_.find(*bytes);
    if (found != mergeable_.end()) return found->second;
  }
  return file.MalformedEntry(
      kMergesKey, absl::StrCat("merge ", rank, " names the piece ",
                               QuoteForError(piece), ", which is no token"));
}

void BpeTokenizer::EncodePlain(absl::string_view text, SpacePrefix prefix,
                               std::vector<TokenId>* ids) const {
  BpeMerger merger(&merges_);
  std::string prefixed;
  if (adds_space_prefix_ && prefix == SpacePrefix::kAsVocabularySays) {
    prefixed = absl::StrCat(" ", text);
    text = prefixed;
  }
  while (!text.empty()) {
    const size_t plain = user_defined_.NextStart(text, 0);
    EncodeWords(text.substr(0, plain), &merger, ids);
    text.remove_prefix(plain);
    if (text.empty()) break;
    const TokenId id = *user_defined_.Longest(text);
    ids->push_back(id);
    text.remove_prefix(texts_[id].size());
  }
}

void BpeTokenizer::EncodeWords(absl::string_view text, BpeMerger* merger,
                               std::vector<TokenId>* ids) const {
  std::string normalized;
  if (pre_tokenizer_->normalizes()) text = ToNfc(text, &normalized);
  pre_tokenizer_->Split(text, [&](absl::string_view word) {
    while (word.size() > kBpeWordBytesMax) {
      EncodeWord(word.substr(0, kBpeWordBytesMax), merger, ids);
      word.remove_prefix(kBpeWordBytesMax);
    }
    EncodeWord(word, merger, ids);
  });
}

void BpeTokenizer::EncodeWord(absl::string_view word, BpeMerger* merger,
                              std::vector<TokenId>* ids) const {
  if (pre_tokenizer_->ignores_merges() && word.size() <= mergeable_bytes_max_) {
    const auto found = mergeable_.find(word);
    if (found != mergeable_.end()) {
      ids->push_back(found->second);
      return;
    }
  }
  if (!HasAllBytes(word)) return EncodeBrokenWord(word, merger, ids);
  std::vector<TokenId> bytes;
  bytes.reserve(word.size());
  for (const char byte : word) {
    bytes.push_back(byte_ids_[static_cast<uint8_t>(byte)]);
  }
  merger->Merge(bytes, ids);
}

// Characters with a byte that is no token become U+FFFD, or the unknown token
// where that can not be spelt either or is what the vocabulary has for it.
void BpeTokenizer::EncodeBrokenWord(absl::string_view word, BpeMerger* merger,
                                    std::vector<TokenId>* ids) const {
  const std::optional<TokenId> unknown = special().unknown;
  const bool use_unknown =
      !HasAllBytes(kReplacementCharacter) ||
      (unknown.has_value() && kind(*unknown) == TokenKind::kUnknown);
  std::string spelt;
  const auto flush = [&] {
    if (!spelt.empty()) EncodeWord(spelt, merger, ids);
    spelt.clear();
  };
  while (!word.empty()) {
    const absl::string_view character =
        word.substr(0, FirstCharacter(word).bytes);
    word.remove_prefix(character.size());
    if (HasAllBytes(character)) {
      absl::StrAppend(&spelt, character);
    } else if (!use_unknown) {
      absl::StrAppend(&spelt, kReplacementCharacter);
    } else {
      flush();
      ids->push_back(*unknown);  // CheckBytes has seen that it is there
    }
  }
  flush();
}

}  // namespace tandem
