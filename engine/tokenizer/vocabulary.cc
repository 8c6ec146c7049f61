#include "engine/tokenizer/vocabulary.h"

#include <algorithm>
#include <iterator>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "engine/gguf/gguf_error.h"
#include "engine/tokenizer/special_names.h"

namespace tandem {
namespace {

constexpr int64_t kKindMin = static_cast<int64_t>(TokenKind::kNormal);
constexpr int64_t kKindMax = static_cast<int64_t>(TokenKind::kByte);

absl::Status ReadPieces(const GgufFile& file, Vocabulary* vocabulary) {
  TANDEM_ASSIGN_OR_RETURN(const GgufArray* array,
                          GetRequiredArray(file, kTokensKey));
  const auto* pieces =
      std::get_if<std::vector<absl::string_view>>(&array->values);
  if (pieces == nullptr) {
    return file.MalformedEntry(kTokensKey, "must be an array of strings");
  }
  if (pieces->empty()) return file.MalformedEntry(kTokensKey, "has no tokens");
  vocabulary->pieces.reserve(pieces->size());
  for (const absl::string_view piece : *pieces) {
    if (piece.size() > kPieceBytesMax) {
      return file.MalformedEntry(
          kTokensKey, absl::StrCat("token ", vocabulary->pieces.size(), " has ",
                                   piece.size(), " bytes; at most ",
                                   kPieceBytesMax, " are allowed"));
    }
    vocabulary->pieces.emplace_back(piece);
  }
  return absl::OkStatus();
}

// The elements of an integer array. Values past int64 become -1: no caller
// takes either.
absl::StatusOr<std::vector<int64_t>> GetIntegers(const GgufFile& file,
                                                 absl::string_view key) {
  TANDEM_ASSIGN_OR_RETURN(const GgufArray* array, file.GetArray(key));
  if (const auto* values = std::get_if<std::vector<int64_t>>(&array->values)) {
    return *values;
  }
  const auto* values = std::get_if<std::vector<uint64_t>>(&array->values);
  if (values == nullptr) {
    return file.MalformedEntry(key, "must be an array of integers");
  }
  std::vector<int64_t> integers;
  integers.reserve(values->size());
  for (const uint64_t value : *values) {
    integers.push_back(value > INT64_MAX ? -1 : static_cast<int64_t>(value));
  }
  return integers;
}

absl::Status ReadKinds(const GgufFile& file, Vocabulary* vocabulary) {
  vocabulary->kinds.assign(vocabulary->pieces.size(), TokenKind::kNormal);
  if (file.FindEntry(kTokenTypeKey) == nullptr) return absl::OkStatus();
  TANDEM_ASSIGN_OR_RETURN(const std::vector<int64_t> numbers,
                          GetIntegers(file, kTokenTypeKey));
  if (numbers.size() != vocabulary->pieces.size()) {
    return file.MalformedEntry(
        kTokenTypeKey, absl::StrCat("has ", numbers.size(), " elements for ",
                                    vocabulary->pieces.size(), " tokens"));
  }
  for (size_t i = 0; i < numbers.size(); ++i) {
    const int64_t number = numbers[i];
    if (number < kKindMin || number > kKindMax) {
      return file.MalformedEntry(
          kTokenTypeKey,
          absl::StrCat("token ", i, " has type ", number, "; types are ",
                       kKindMin, " to ", kKindMax));
    }
    vocabulary->kinds[i] = static_cast<TokenKind>(number);
  }
  return absl::OkStatus();
}

absl::Status ReadSpecialId(const GgufFile& file, absl::string_view name,
                           int vocab_size, std::optional<TokenId>* id) {
  const std::string key = absl::StrCat("tokenizer.ggml.", name, "_token_id");
  if (file.FindEntry(key) == nullptr) return absl::OkStatus();
  TANDEM_ASSIGN_OR_RETURN(const uint64_t value, file.GetUint(key));
  if (value >= static_cast<uint64_t>(vocab_size)) {
    return file.MalformedEntry(
        key,
        absl::StrCat("is ", value, ", but there are ", vocab_size, " tokens"));
  }
  *id = static_cast<TokenId>(value);
  return absl::OkStatus();
}

absl::Status ReadEndIds(const GgufFile& file, int vocab_size,
                        std::vector<TokenId>* ends) {
  constexpr char kKey[] = "tokenizer.ggml.eos_token_ids";
  if (file.FindEntry(kKey) == nullptr) return absl::OkStatus();
  TANDEM_ASSIGN_OR_RETURN(const std::vector<int64_t> ids,
                          GetIntegers(file, kKey));
  if (ids.size() > kEndIdsMax) {
    return file.MalformedEntry(
        kKey, absl::StrCat("has ", ids.size(), " elements; at most ",
                           kEndIdsMax, " are allowed"));
  }
  for (const int64_t id : ids) {
    if (id < 0 || id >= vocab_size) {
      return file.MalformedEntry(
          kKey, absl::StrCat("has the id ", id, ", but there are ", vocab_size,
                             " tokens"));
    }
    ends->push_back(static_cast<TokenId>(id));
  }
  return absl::OkStatus();
}

}  // namespace

bool Vocabulary::IsSpecial(TokenId id) const {
  return kinds[id] == TokenKind::kControl || kinds[id] == TokenKind::kUnknown ||
         special.bos == id || special.eos == id || special.eot == id ||
         special.eom == id || special.padding == id ||
         std::find(special.ends.begin(), special.ends.end(), id) !=
             special.ends.end() ||
         (kinds[id] == TokenKind::kUserDefined && IsChatMarker(pieces[id]));
}

absl::string_view TokenKindName(TokenKind kind) {
  // From 1 on, in the order of TokenKind.
  constexpr absl::string_view kNames[] = {"invalid", "normal",       "unknown",
                                          "control", "user-defined", "unused",
                                          "byte"};
  const auto index = static_cast<size_t>(kind);
  return kNames[index < std::size(kNames) ? index : 0];
}

absl::Status DuplicateToken(const GgufFile& file, const Vocabulary& vocabulary,
                            TokenId first, TokenId second) {
  return file.MalformedEntry(
      kTokensKey, absl::StrCat("tokens ", first, " and ", second, " are both ",
                               QuoteForError(vocabulary.pieces[second])));
}

absl::StatusOr<const GgufArray*> GetRequiredArray(const GgufFile& file,
                                                  absl::string_view key) {
  if (file.FindEntry(key) == nullptr) {
    return file.MalformedEntry(key, "is missing");
  }
  return file.GetArray(key);
}

absl::StatusOr<Vocabulary> ReadVocabulary(const GgufFile& file) {
  Vocabulary vocabulary;
  TANDEM_RETURN_IF_ERROR(ReadPieces(file, &vocabulary));
  TANDEM_RETURN_IF_ERROR(ReadKinds(file, &vocabulary));
  SpecialTokens& special = vocabulary.special;
  const std::pair<absl::string_view, std::optional<TokenId>*> ids[] = {
      {"bos", &special.bos},         {"eos", &special.eos},
      {"eot", &special.eot},         {"eom", &special.eom},
      {"unknown", &special.unknown}, {"padding", &special.padding}};
  for (const auto& [name, id] : ids) {
    TANDEM_RETURN_IF_ERROR(ReadSpecialId(file, name, vocabulary.size(), id));
  }
  TANDEM_RETURN_IF_ERROR(ReadEndIds(file, vocabulary.size(), &special.ends));
  return vocabulary;
}

}  // namespace tandem
