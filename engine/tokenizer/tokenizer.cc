#include "engine/tokenizer/tokenizer.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "engine/base/error_reason.h"
#include "engine/base/hash.h"
#include "engine/gguf/gguf_error.h"
#include "engine/tokenizer/bpe_tokenizer.h"
#include "engine/tokenizer/special_names.h"
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

absl::string_view Bytes(const Tokenizer& tokenizer, TokenId id) {
  return tokenizer.TokenText(id, /*skip_special=*/false);
}

bool IsSpecial(const Tokenizer& tokenizer, TokenId id) {
  return tokenizer.TokenText(id, /*skip_special=*/true).empty();
}

// The bytes of a special token are its name as the file spells it, so a token
// that only one side calls special (for padding, say) is compared as spelt.
bool SameToken(const Tokenizer& a, const Tokenizer& b, TokenId id) {
  if (a.kind(id) != b.kind(id)) return false;
  if (Bytes(a, id) == Bytes(b, id)) return true;
  return IsSpecial(a, id) != IsSpecial(b, id) && a.piece(id) == b.piece(id);
}

// True for tokens that fill a vocabulary up to a round size, and others that no
// text yields: nothing is lost where the other vocabulary has no such id.
bool IsFiller(const Tokenizer& tokenizer, TokenId id) {
  const TokenKind kind = tokenizer.kind(id);
  return kind == TokenKind::kUnused || kind == TokenKind::kControl ||
         kind == TokenKind::kUnknown || IsSpecial(tokenizer, id) ||
         tokenizer.piece(id) == absl::StrCat("[PAD", id, "]");
}

// UNSUPPORTED_MODEL where the file asks for a change of texts that is not made.
absl::Status CheckNormalizer(const GgufFile& file) {
  constexpr char kSpacesKey[] = "tokenizer.ggml.remove_extra_whitespaces";
  constexpr char kCharsmapKey[] = "tokenizer.ggml.precompiled_charsmap";
  TANDEM_ASSIGN_OR_RETURN(const bool removes_spaces,
                          file.GetBoolOr(kSpacesKey, /*absent=*/false));
  const char* key = removes_spaces ? kSpacesKey : nullptr;
  if (file.FindEntry(kCharsmapKey) != nullptr) {
    TANDEM_ASSIGN_OR_RETURN(const GgufArray* charsmap,
                            file.GetArray(kCharsmapKey));
    if (charsmap->size() > 0) key = kCharsmapKey;
  }
  if (key == nullptr) return absl::OkStatus();
  return MakeError(
      absl::StatusCode::kInvalidArgument,
      {.reason = kReasonUnsupportedModel, .violations = {}},
      absl::StrCat(file.name(), ": offset ", file.FindEntry(key)->offset,
                   ": key '", key,
                   "': asks for a normalisation of texts that this build does "
                   "not make"));
}

}  // namespace

absl::StatusOr<std::unique_ptr<Tokenizer>> Tokenizer::FromGguf(
    const GgufFile& file) {
  if (file.FindEntry(kModelKey) == nullptr) {
    return file.MalformedEntry(kModelKey, "is missing");
  }
  TANDEM_ASSIGN_OR_RETURN(const absl::string_view model,
                          file.GetString(kModelKey));
  TANDEM_RETURN_IF_ERROR(CheckNormalizer(file));
  ChatTemplate chat_template;
  if (file.FindEntry(kChatTemplateKey) != nullptr) {
    TANDEM_ASSIGN_OR_RETURN(const absl::string_view source,
                            file.GetString(kChatTemplateKey));
    chat_template = ChatTemplate::Recognize(source);
  }
  std::unique_ptr<Tokenizer> tokenizer;
  if (model == "llama") {
    TANDEM_ASSIGN_OR_RETURN(tokenizer, SpmTokenizer::FromGguf(file));
  } else if (model == "gpt2") {
    TANDEM_ASSIGN_OR_RETURN(tokenizer, BpeTokenizer::FromGguf(file));
  } else {
    return MakeError(
        absl::StatusCode::kInvalidArgument,
        {.reason = kReasonUnsupportedModel, .violations = {}},
        absl::StrCat(file.name(), ": key '", kModelKey, "': tokenizer model ",
                     QuoteForError(model),
                     " is not supported; 'llama' (SentencePiece) and 'gpt2' "
                     "(byte-level BPE) are"));
  }
  tokenizer->chat_template_ = chat_template;
  return tokenizer;
}

std::vector<TokenId> Tokenizer::Encode(absl::string_view text,
                                       const EncodeOptions& options) const {
  std::vector<TokenId> ids;
  if (options.add_bos && special().bos.has_value()) {
    ids.push_back(*special().bos);
  }
  while (!text.empty()) {
    const size_t plain = options.parse_special
                             ? special_tokens_.NextStart(text, 0)
                             : text.size();
    if (plain > 0) {
      EncodePlain(text.substr(0, plain), SpacePrefix::kAsVocabularySays, &ids);
    }
    text.remove_prefix(plain);
    if (text.empty()) break;
    const TokenId id = *special_tokens_.Longest(text);
    ids.push_back(id);
    text.remove_prefix(TokenText(id, /*skip_special=*/false).size());
  }
  return ids;
}

// The families' own names for BOS and EOS stand for those of the vocabulary.
std::optional<TokenId> Tokenizer::FindMarker(absl::string_view text) const {
  const std::optional<TokenId> found = special_tokens_.Find(text);
  if (found.has_value()) return found;
  if (text == "<s>") return special().bos;
  if (text == "</s>" || text == "<｜end▁of▁sentence｜>") return special().eos;
  return std::nullopt;
}

void Tokenizer::EncodeChatText(absl::string_view text, bool after_special,
                               std::vector<TokenId>* ids) const {
  if (after_special && chat_template_.strips_after_special()) {
    text = absl::StripLeadingAsciiWhitespace(text);
  }
  if (text.empty()) return;
  // Formats write the space before a text where the family has one, so it is
  // not put there twice.
  const bool add_space = after_special && text[0] != ' ';
  EncodePlain(text,
              add_space ? SpacePrefix::kAsVocabularySays : SpacePrefix::kNone,
              ids);
}

std::vector<TokenId> Tokenizer::EncodeSegments(
    absl::Span<const ChatSegment> segments, bool after_special) const {
  std::vector<TokenId> ids;
  std::string plain;
  for (const ChatSegment& segment : segments) {
    const std::optional<TokenId> marker =
        segment.is_special ? FindMarker(segment.text) : std::nullopt;
    if (!marker.has_value()) {
      absl::StrAppend(&plain, segment.text);
      continue;
    }
    EncodeChatText(plain, after_special, &ids);
    plain.clear();
    ids.push_back(*marker);
    after_special = true;
  }
  EncodeChatText(plain, after_special, &ids);
  return ids;
}

std::vector<TokenId> Tokenizer::EncodeChat(
    absl::Span<const ChatSegment> segments) const {
  return EncodeSegments(segments, /*after_special=*/true);
}

std::vector<TokenId> Tokenizer::EncodeChatAfter(
    TokenId last, absl::Span<const ChatSegment> segments) const {
  for (size_t i = 0; i < segments.size(); ++i) {
    if (!segments[i].is_special) continue;
    if (FindMarker(segments[i].text) != last && !IsEndOfGeneration(last)) break;
    return EncodeSegments(segments.subspan(i + 1), /*after_special=*/true);
  }
  return EncodeSegments(segments, /*after_special=*/false);
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
  return std::binary_search(end_tokens_.begin(), end_tokens_.end(), id);
}

void Tokenizer::FinishTokens() {
  const SpecialTokens& named = special();
  end_tokens_ = named.ends;
  for (const std::optional<TokenId>& id : {named.eos, named.eot, named.eom}) {
    if (id.has_value()) end_tokens_.push_back(*id);
  }
  for (TokenId id = 0; id < vocab_size(); ++id) {
    if (!Bytes(*this, id).empty() && IsSpecial(*this, id)) {
      special_tokens_.Add(Bytes(*this, id), id);
    }
  }
  special_tokens_.Build();
  const auto has = [this](absl::string_view name) {
    return special_tokens_.Find(name).has_value();
  };
  for (TokenId id = 0; id < vocab_size(); ++id) {
    const absl::string_view name = Bytes(*this, id);
    if (IsSpecial(*this, id) && IsEndOfReplyName(name) &&
        !EndsLessThanReply(name, has)) {
      end_tokens_.push_back(id);
    }
  }
  std::sort(end_tokens_.begin(), end_tokens_.end());
  end_tokens_.erase(std::unique(end_tokens_.begin(), end_tokens_.end()),
                    end_tokens_.end());
  ComputeFingerprint();
}

void Tokenizer::ComputeFingerprint() {
  Sha256 hash;
  hash.AddNumber(static_cast<uint64_t>(vocab_size()));
  for (TokenId id = 0; id < vocab_size(); ++id) {
    hash.AddString(TokenText(id, /*skip_special=*/false));
    hash.AddNumber(static_cast<uint64_t>(kind(id)));
  }
  const auto add = [&hash](const std::optional<TokenId>& id) {
    hash.AddNumber(id.has_value() ? static_cast<uint64_t>(*id) + 1 : 0);
  };
  const SpecialTokens& ids = special();
  for (const std::optional<TokenId>& id :
       {ids.bos, ids.eos, ids.eot, ids.unknown, ids.padding}) {
    add(id);
  }
  // Files without these keep the fingerprint that they had before these were
  // known.
  if (ids.eom.has_value() || !ids.ends.empty()) {
    add(ids.eom);
    for (const TokenId id : ids.ends) add(id);
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
  const Tokenizer& larger = draft.vocab_size() > both ? draft : target;
  if (first == both) {
    while (first < larger.vocab_size() && IsFiller(larger, first)) ++first;
    if (first == larger.vocab_size()) return absl::OkStatus();
  }
  return Unlike(absl::StrCat(
      "the first token that differs is ", first, ": ", Describe(draft, first),
      " in the draft, ", Describe(target, first), " in the target (",
      draft.vocab_size(), " and ", target.vocab_size(), " tokens)"));
}

}  // namespace tandem
