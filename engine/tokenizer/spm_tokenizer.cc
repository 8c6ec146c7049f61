#include "engine/tokenizer/spm_tokenizer.h"

#include <algorithm>
#include <cmath>
#include <queue>
#include <variant>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "engine/base/utf8.h"
#include "engine/gguf/gguf_error.h"

namespace tandem {
namespace {

constexpr char kScoresKey[] = "tokenizer.ggml.scores";
constexpr char kEscapedSpace[] = "\xE2\x96\x81";  // U+2581

// Text is merged in runs of at most about this size, to bound memory (32 bytes
// a character); no piece crosses the seam between two runs.
constexpr size_t kRunBytesMax = 16 << 20;

// The byte that a byte token "<0x0A>" stands for, or nothing.
std::optional<uint8_t> ParseBytePiece(absl::string_view piece) {
  if (piece.size() != 6 || piece.substr(0, 3) != "<0x" || piece[5] != '>') {
    return std::nullopt;
  }
  const absl::string_view digits = piece.substr(3, 2);
  uint32_t value = 0;
  // SimpleHexAtoi takes signs and spaces, too.
  if (!std::all_of(digits.begin(), digits.end(), absl::ascii_isxdigit) ||
      !absl::SimpleHexAtoi(digits, &value)) {
    return std::nullopt;
  }
  return static_cast<uint8_t>(value);
}

// A part of a run; a doubly linked list in an array.
struct Symbol {
  uint32_t begin;
  uint32_t bytes;  // 0: joined into the one before it
  int32_t previous;
  int32_t next;
};

// Symbol `left` and its neighbour could become one piece of `bytes` bytes.
struct Join {
  float score;
  int32_t left;
  uint32_t bytes;

  // The order of a max-heap: the highest score first, then the leftmost.
  bool operator<(const Join& other) const {
    if (score != other.score) return score < other.score;
    return left > other.left;
  }
};

std::vector<Symbol> SplitCharacters(absl::string_view run) {
  std::vector<Symbol> symbols;
  symbols.reserve(run.size());
  uint32_t at = 0;
  while (at < run.size()) {
    const Utf8Prefix first = FirstUtf8(run.substr(at));
    const uint32_t bytes =
        first.kind == Utf8Prefix::Kind::kCharacter ? first.bytes : 1;
    const auto index = static_cast<int32_t>(symbols.size());
    symbols.push_back({.begin = at,
                       .bytes = bytes,
                       .previous = index - 1,
                       .next = index + 1});
    at += bytes;
  }
  if (!symbols.empty()) symbols.back().next = -1;
  return symbols;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Tokenizer>> SpmTokenizer::FromGguf(
    const GgufFile& file) {
  std::unique_ptr<SpmTokenizer> tokenizer(new SpmTokenizer());
  TANDEM_ASSIGN_OR_RETURN(tokenizer->vocabulary_, ReadVocabulary(file));
  TANDEM_RETURN_IF_ERROR(tokenizer->ReadScores(file));
  TANDEM_ASSIGN_OR_RETURN(
      tokenizer->adds_bos_,
      file.GetBoolOr("tokenizer.ggml.add_bos_token", /*absent=*/true));
  TANDEM_ASSIGN_OR_RETURN(
      tokenizer->adds_space_prefix_,
      file.GetBoolOr("tokenizer.ggml.add_space_prefix", /*absent=*/true));
  tokenizer->ApplyDefaultIds();
  TANDEM_RETURN_IF_ERROR(tokenizer->IndexTokens(file));
  TANDEM_RETURN_IF_ERROR(
      tokenizer->CheckBytes(file, [](size_t) { return true; }));
  tokenizer->FinishTokens();
  return tokenizer;
}

absl::Status SpmTokenizer::ReadScores(const GgufFile& file) {
  TANDEM_ASSIGN_OR_RETURN(const GgufArray* array,
                          GetRequiredArray(file, kScoresKey));
  const auto* scores = std::get_if<std::vector<double>>(&array->values);
  if (scores == nullptr) {
    return file.MalformedEntry(kScoresKey, "must be an array of floats");
  }
  if (scores->size() != vocabulary_.pieces.size()) {
    return file.MalformedEntry(
        kScoresKey, absl::StrCat("has ", scores->size(), " elements for ",
                                 vocabulary_.pieces.size(), " tokens"));
  }
  for (size_t i = 0; i < scores->size(); ++i) {
    if (!std::isfinite((*scores)[i])) {
      return file.MalformedEntry(
          kScoresKey, absl::StrCat("the score of token ", i, " is not finite"));
    }
  }
  scores_.assign(scores->begin(), scores->end());
  return absl::OkStatus();
}

// The ids that SentencePiece itself gives, where the file names none and the
// tokens there look the part.
void SpmTokenizer::ApplyDefaultIds() {
  const auto apply = [this](std::optional<TokenId>* id, TokenId standard,
                            TokenKind kind) {
    if (id->has_value() || standard >= vocabulary_.size()) return;
    if (vocabulary_.kinds[standard] == kind) *id = standard;
  };
  apply(&vocabulary_.special.unknown, 0, TokenKind::kUnknown);
  apply(&vocabulary_.special.bos, 1, TokenKind::kControl);
  apply(&vocabulary_.special.eos, 2, TokenKind::kControl);
}

absl::Status SpmTokenizer::IndexTokens(const GgufFile& file) {
  texts_.reserve(vocabulary_.pieces.size());
  is_special_.reserve(vocabulary_.pieces.size());
  for (TokenId id = 0; id < vocabulary_.size(); ++id) {
    const bool is_special = vocabulary_.IsSpecial(id);
    is_special_.push_back(is_special);
    if (is_special) {
      texts_.push_back(vocabulary_.pieces[id]);
    } else if (vocabulary_.kinds[id] == TokenKind::kByte) {
      TANDEM_RETURN_IF_ERROR(IndexByte(file, id));
    } else {
      texts_.push_back(
          absl::StrReplaceAll(vocabulary_.pieces[id], {{kEscapedSpace, " "}}));
    }
  }
  cuts_.AllowAfterAll();
  // Only now do all texts stand where they stay.
  for (TokenId id = 0; id < vocabulary_.size(); ++id) {
    const std::string& piece = vocabulary_.pieces[id];
    if (is_special_[id] == 0 && kind(id) == TokenKind::kNormal &&
        !piece.empty()) {
      TANDEM_RETURN_IF_ERROR(AddMergeable(file, piece, id));
      cuts_.Spare(piece);
    }
  }
  TANDEM_RETURN_IF_ERROR(IndexUserDefined(file));
  has_all_bytes_ =
      std::find(byte_ids_.begin(), byte_ids_.end(), kNone) == byte_ids_.end();
  return absl::OkStatus();
}

absl::Status SpmTokenizer::IndexByte(const GgufFile& file, TokenId id) {
  const std::string& piece = vocabulary_.pieces[id];
  const std::optional<uint8_t> byte = ParseBytePiece(piece);
  if (!byte.has_value()) {
    return file.MalformedEntry(
        kTokensKey, absl::StrCat("token ", id, " is of type byte, but ",
                                 QuoteForError(piece), " is not '<0xHH>'"));
  }
  if (byte_ids_[*byte] != kNone) {
    return DuplicateToken(file, vocabulary_, byte_ids_[*byte], id);
  }
  byte_ids_[*byte] = id;
  texts_.emplace_back(1, static_cast<char>(*byte));
  return absl::OkStatus();
}

void SpmTokenizer::EncodePlain(absl::string_view text, SpacePrefix prefix,
                               std::vector<TokenId>* ids) const {
  std::string run;
  if (adds_space_prefix_ && prefix == SpacePrefix::kAsVocabularySays) {
    run = kEscapedSpace;
  }
  const auto flush = [&] {
    MergeRun(run, ids);
    run.clear();
  };
  while (!text.empty()) {
    const std::optional<TokenId> user_defined = user_defined_.Longest(text);
    if (user_defined.has_value()) {
      flush();
      ids->push_back(*user_defined);
      text.remove_prefix(texts_[*user_defined].size());
      continue;
    }
    const Utf8Prefix first = FirstUtf8(text);
    const absl::string_view character = text.substr(
        0, first.kind == Utf8Prefix::Kind::kCharacter ? first.bytes : 1);
    text.remove_prefix(character.size());
    if (character == kEscapedSpace && has_all_bytes_) {
      flush();
      AppendBytes(character, ids);
      continue;
    }
    absl::StrAppend(&run, character == " " ? kEscapedSpace : character);
    if (run.size() >= kRunBytesMax) flush();
  }
  flush();
}

void SpmTokenizer::MergeRun(absl::string_view run,
                            std::vector<TokenId>* ids) const {
  std::vector<Symbol> symbols = SplitCharacters(run);
  // The join of `left` and its neighbour, if it is a piece.
  const auto find_join = [&](int32_t left) -> std::optional<Join> {
    const int32_t right = symbols[left].next;
    if (right < 0) return std::nullopt;
    const uint32_t bytes = symbols[left].bytes + symbols[right].bytes;
    if (bytes > mergeable_bytes_max_) return std::nullopt;
    const auto found = mergeable_.find(run.substr(symbols[left].begin, bytes));
    if (found == mergeable_.end()) return std::nullopt;
    return Join{.score = scores_[found->second], .left = left, .bytes = bytes};
  };
  std::vector<Join> all;
  for (int32_t i = 0; i < static_cast<int32_t>(symbols.size()); ++i) {
    if (const std::optional<Join> join = find_join(i)) all.push_back(*join);
  }
  std::priority_queue<Join> joins(std::less<Join>(), std::move(all));
  const auto push = [&](int32_t left) {
    if (left < 0) return;
    if (const std::optional<Join> join = find_join(left)) joins.push(*join);
  };
  while (!joins.empty()) {
    const Join join = joins.top();
    joins.pop();
    Symbol& left = symbols[join.left];
    if (left.bytes == 0 || left.next < 0) continue;
    Symbol& right = symbols[left.next];
    // One of the two has grown since.
    if (left.bytes + right.bytes != join.bytes) continue;
    left.bytes = join.bytes;
    right.bytes = 0;
    left.next = right.next;
    if (left.next >= 0) symbols[left.next].previous = join.left;
    push(left.previous);
    push(join.left);
  }
  for (const Symbol& symbol : symbols) {
    if (symbol.bytes == 0) continue;
    AppendSymbol(run.substr(symbol.begin, symbol.bytes), ids);
  }
}

void SpmTokenizer::AppendSymbol(absl::string_view symbol,
                                std::vector<TokenId>* ids) const {
  const auto found = mergeable_.find(symbol);
  if (found != mergeable_.end()) {
    ids->push_back(found->second);
    return;
  }
  // An escaped space goes back to what it was.
  AppendBytes(symbol == kEscapedSpace ? " " : symbol, ids);
}

void SpmTokenizer::AppendBytes(absl::string_view bytes,
                               std::vector<TokenId>* ids) const {
  if (!HasAllBytes(bytes)) {
    ids->push_back(*special().unknown);  // FromGguf has seen that it is there
    return;
  }
  for (const char byte : bytes) {
    ids->push_back(byte_ids_[static_cast<uint8_t>(byte)]);
  }
}

}  // namespace tandem
