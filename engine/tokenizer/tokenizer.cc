#include "engine/tokenizer/tokenizer.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "engine/base/error_reason.h"
#include "engine/base/hash.h"
#include "engine/gguf/gguf_error.h"
#include "engine/tokenizer/spm_tokenizer.h"
#include "engine/tokenizer/vocabulary.h"

namespace tandem {
namespace {

constexpr char kModelKey[] = "tokenizer.ggml.model";

absl::Status Unlike(absl::string_view what) {
  return MakeError(
      absl::StatusCode::kFailedPrecondition,
      {.reason = kReasonVocabularyMismatch, .violations = {}},
      absl::StrCat("draft and target have different vocabularies: ", what));
}

// Token `id` for a message: "'the' (normal)", or "missing".
std::string Describe(const Tokenizer& tokenizer, TokenId id) {
  if (id >= tokenizer.vocab_size()) return "missing";
  return absl::StrCat(QuoteForError(tokenizer.piece(id)), " (",
                      TokenKindName(tokenizer.kind(id)), ")");
}

std::string Describe(std::optional<TokenId> id) {
  return id.has_value() ? absl::StrCat(*id) : "none";
}

bool SameToken(const Tokenizer& a, const Tokenizer& b, TokenId id) {
  return a.kind(id) == b.kind(id) &&
         a.TokenText(id, /*skip_special=*/false) ==
             b.TokenText(id, /*skip_special=*/false);
}

absl::Status CheckSameSpecial(absl::string_view name,
                              std::optional<TokenId> draft,
                              std::optional<TokenId> target) {
  if (draft == target) return absl::OkStatus();
  return Unlike(absl::StrCat("the ", name, " token is ", Describe(draft),
                             " in the draft and ", Describe(target),
                             " in the target"));
}

}  // namespace

absl::StatusOr<std::unique_ptr<Tokenizer>> Tokenizer::FromGguf(
    const GgufFile& file) {
  if (file.FindEntry(kModelKey) == nullptr) {
    return file.MalformedEntry(kModelKey, "is missing");
  }
  TANDEM_ASSIGN_OR_RETURN(const absl::string_view model,
                          file.GetString(kModelKey));
  if (model == "llama") return SpmTokenizer::FromGguf(file);
  return MakeError(
      absl::StatusCode::kInvalidArgument,
      {.reason = kReasonUnsupportedModel, .violations = {}},
      absl::StrCat(file.name(), ": key '", kModelKey, "': tokenizer model ",
                   QuoteForError(model),
                   " is not supported; 'llama' (SentencePiece) is"));
}

std::string Tokenizer::Decode(absl::Span<const TokenId> ids,
                              bool skip_special) const {
  std::string text;
  bool at_start = adds_space_prefix();
  for (const TokenId id : ids) {
    absl::string_view piece = TokenText(id, skip_special);
    if (at_start && !TokenText(id, /*skip_special=*/true).empty()) {
      piece = absl::StripPrefix(piece, " ");
      at_start = false;
    }
    absl::StrAppend(&text, piece);
  }
  return text;
}

bool Tokenizer::IsEndOfGeneration(TokenId id) const {
  return special().eos == id || special().eot == id;
}

void Tokenizer::ComputeFingerprint() {
  Sha256 hash;
  hash.AddNumber(static_cast<uint64_t>(vocab_size()));
  for (TokenId id = 0; id < vocab_size(); ++id) {
    hash.AddString(TokenText(id, /*skip_special=*/false));
    hash.AddNumber(static_cast<uint64_t>(kind(id)));
  }
  const SpecialTokens& ids = special();
  for (const std::optional<TokenId>& id :
       {ids.bos, ids.eos, ids.eot, ids.unknown, ids.padding}) {
    hash.AddNumber(id.has_value() ? static_cast<uint64_t>(*id) + 1 : 0);
  }
  fingerprint_ = hash.HexDigest();
}

absl::Status CheckSameVocabulary(const Tokenizer& draft,
                                 const Tokenizer& target) {
  if (draft.vocabulary_fingerprint() == target.vocabulary_fingerprint()) {
    return absl::OkStatus();
  }
  const TokenId both = std::min(draft.vocab_size(), target.vocab_size());
  TokenId first = 0;
  while (first < both && SameToken(draft, target, first)) ++first;
  if (first < both || draft.vocab_size() != target.vocab_size()) {
    return Unlike(absl::StrCat(
        "the first token that differs is ", first, ": ", Describe(draft, first),
        " in the draft, ", Describe(target, first), " in the target (",
        draft.vocab_size(), " and ", target.vocab_size(), " tokens)"));
  }
  const SpecialTokens& ours = draft.special();
  const SpecialTokens& theirs = target.special();
  TANDEM_RETURN_IF_ERROR(CheckSameSpecial("BOS", ours.bos, theirs.bos));
  TANDEM_RETURN_IF_ERROR(CheckSameSpecial("EOS", ours.eos, theirs.eos));
  TANDEM_RETURN_IF_ERROR(CheckSameSpecial("EOT", ours.eot, theirs.eot));
  TANDEM_RETURN_IF_ERROR(
      CheckSameSpecial("unknown", ours.unknown, theirs.unknown));
  return CheckSameSpecial("padding", ours.padding, theirs.padding);
}

}  // namespace tandem
