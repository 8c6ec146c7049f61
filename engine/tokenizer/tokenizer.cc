#include "engine/tokenizer/tokenizer.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "engine/base/check.h"
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
      {.reason = kReasonVocabularyMismatch},
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
  return UnsupportedModel(absl::StrCat(
      file.name(), ": offset ", file.FindEntry(key)->offset, ": key '", key,
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
  std::unique_ptr<Tokenizer> tokenizer;
  if (model == "llama") {
    TANDEM_ASSIGN_OR_RETURN(tokenizer, SpmTokenizer::FromGguf(file));
  } else if (model == "gpt2") {
    TANDEM_ASSIGN_OR_RETURN(tokenizer, BpeTokenizer::FromGguf(file));
  } else {
    return UnsupportedModel(
        absl::StrCat(file.name(), ": key '", kModelKey, "': tokenizer model ",
                     QuoteForError(model),
                     " is not supported; 'llama' (SentencePiece) and 'gpt2' "
                     "(byte-level BPE) are"));
  }
  TANDEM_RETURN_IF_ERROR(tokenizer->ReadChatTemplate(file));
  // Phi 3 of a SentencePiece vocabulary: the file does not say that its tokens
  // take the white space after them.
  const TokenMatcher& special = tokenizer->special_tokens_;
  tokenizer->strips_after_special_ =
      model == "llama" && special.Find("<|user|>").has_value() &&
      special.Find("<|assistant|>").has_value() &&
      special.Find("<|end|>").has_value();
  return tokenizer;
}

std::vector<TokenId> Tokenizer::Encode(absl::string_view text,
                                       const EncodeOptions& options) const {
  std::vector<TokenId> ids;
  SpacePrefix prefix =
      options.goes_on ? SpacePrefix::kNone : SpacePrefix::kAsVocabularySays;
  if (options.add_bos && !options.goes_on && special().bos.has_value()) {
    ids.push_back(*special().bos);
  }
  while (!text.empty()) {
    const size_t plain = options.parse_special
                             ? special_tokens_.NextStart(text, 0)
                             : text.size();
    if (plain > 0) EncodePlain(text.substr(0, plain), prefix, &ids);
    text.remove_prefix(plain);
    if (text.empty()) break;
    prefix = SpacePrefix::kAsVocabularySays;
    const TokenId id = *special_tokens_.Longest(text);
    ids.push_back(id);
    text.remove_prefix(TokenText(id, /*skip_special=*/false).size());
  }
  return ids;
}

absl::Status Tokenizer::ReadChatTemplate(const GgufFile& file) {
  std::vector<ChatTemplate::Source> sources;
  for (const GgufEntry& entry : file.entries()) {
    absl::string_view name = entry.key;
    if (!absl::ConsumePrefix(&name, kChatTemplateKey)) continue;
    if (!name.empty() && !absl::ConsumePrefix(&name, ".")) continue;
    TANDEM_ASSIGN_OR_RETURN(const absl::string_view text,
                            file.GetString(entry.key));
    sources.push_back({.name = std::string(name), .text = std::string(text)});
  }
  ChatTemplate::TokenTexts texts;
  const SpecialTokens& ids = special();
  const std::pair<const char*, std::optional<TokenId>> named[] = {
      {"bos_token", ids.bos},
      {"eos_token", ids.eos},
      {"unk_token", ids.unknown},
      {"pad_token", ids.padding}};
  for (const auto& [name, id] : named) {
    if (!id.has_value()) continue;
    texts.emplace_back(name, TokenText(*id, /*skip_special=*/false));
  }
  std::vector<std::string> reply_ends;
  for (const TokenId id : end_tokens_) {
    reply_ends.emplace_back(TokenText(id, /*skip_special=*/false));
  }
  chat_template_ =
      ChatTemplate::Parse(sources, std::move(texts), std::move(reply_ends));
  return absl::OkStatus();
}

size_t Tokenizer::ReplyEndBytes(absl::string_view text, TokenId last) const {
  const size_t start = special_tokens_.NextStart(text, 0);
  if (start == text.size()) return 0;
  const TokenId id = *special_tokens_.Longest(text.substr(start));
  // A reply may have ended with another end than the template writes.
  const bool is_ended =
      id == last || (IsEndOfGeneration(id) && IsEndOfGeneration(last));
  return is_ended ? start + TokenText(id, /*skip_special=*/false).size() : 0;
}

void Tokenizer::EncodeChatText(absl::string_view text, size_t own_bytes,
                               bool after_special,
                               std::vector<TokenId>* ids) const {
  if (after_special && strips_after_special_) {
    const size_t bytes = text.size();
    text = absl::StripLeadingAsciiWhitespace(text);
    own_bytes -= std::min(own_bytes, bytes - text.size());
  }
  if (text.empty()) return;
  // Templates write the space before a text where the family has one, so it is
  // not put there twice. A space that a message begins with is none of theirs.
  const bool has_space = own_bytes > 0 && text[0] == ' ';
  const bool add_space = after_special && !has_space;
  EncodePlain(text,
              add_space ? SpacePrefix::kAsVocabularySays : SpacePrefix::kNone,
              ids);
}

std::vector<TokenId> Tokenizer::EncodeChat(absl::Span<const TextPart> parts,
                                           std::optional<TokenId> last) const {
  size_t skip = 0;
  if (last.has_value() && !parts.empty() && !parts[0].is_content) {
    skip = ReplyEndBytes(parts[0].text, *last);
  }
  bool after_special = !last.has_value() || skip > 0 ||
                       TokenText(*last, /*skip_special=*/true).empty();
  std::vector<TokenId> ids;
  std::string plain;
  size_t own_bytes = 0;  // that plain begins with: the template's own
  for (const TextPart& part : parts) {
    absl::string_view text = part.text;
    text.remove_prefix(std::exchange(skip, 0));
    while (!text.empty()) {
      const size_t start =
          part.is_content ? text.size() : special_tokens_.NextStart(text, 0);
      if (!part.is_content && own_bytes == plain.size()) own_bytes += start;
      plain.append(text.data(), start);
      text.remove_prefix(start);
      if (text.empty()) break;
      EncodeChatText(plain, own_bytes, after_special, &ids);
      plain.clear();
      own_bytes = 0;
      ids.push_back(*special_tokens_.Longest(text));
      text.remove_prefix(TokenText(ids.back(), /*skip_special=*/false).size());
      after_special = true;
    }
  }
  EncodeChatText(plain, own_bytes, after_special, &ids);
  const std::optional<TokenId> bos = special().bos;
  if (!last.has_value() && adds_bos() && bos.has_value() &&
      (ids.empty() || ids[0] != *bos)) {
    ids.insert(ids.begin(), *bos);
  }
  return ids;
}

std::string Tokenizer::Decode(absl::Span<const TokenId> ids,
                              bool skip_special) const {
  std::string text;
  bool at_start = adds_space_prefix_;
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

absl::string_view Tokenizer::TokenText(TokenId id, bool skip_special) const {
  TANDEM_CHECK(id >= 0 && id < vocabulary_.size());
  if (skip_special && is_special_[id] != 0) return "";
  return texts_[id];
}

TokenKind Tokenizer::kind(TokenId id) const {
  TANDEM_CHECK(id >= 0 && id < vocabulary_.size());
  return vocabulary_.kinds[id];
}

absl::string_view Tokenizer::piece(TokenId id) const {
  TANDEM_CHECK(id >= 0 && id < vocabulary_.size());
  return vocabulary_.pieces[id];
}

absl::Status Tokenizer::AddMergeable(const GgufFile& file,
                                     absl::string_view text, TokenId id) {
  const auto [found, is_new] = mergeable_.emplace(text, id);
  if (!is_new) return DuplicateToken(file, vocabulary_, found->second, id);
  mergeable_bytes_max_ = std::max(mergeable_bytes_max_, text.size());
  return absl::OkStatus();
}

absl::Status Tokenizer::IndexUserDefined(const GgufFile& file) {
  for (TokenId id = 0; id < vocab_size(); ++id) {
    if (kind(id) == TokenKind::kUserDefined && is_special_[id] == 0 &&
        !texts_[id].empty()) {
      user_defined_.Add(texts_[id], id);
    }
  }
  const auto twice = user_defined_.Build();
  if (!twice.has_value()) return absl::OkStatus();
  return DuplicateToken(file, vocabulary_, twice->first, twice->second);
}

absl::Status Tokenizer::CheckBytes(const GgufFile& file,
                                   bool (*is_needed)(size_t byte)) const {
  if (special().unknown.has_value()) return absl::OkStatus();
  for (size_t byte = 0; byte < byte_ids_.size(); ++byte) {
    if (byte_ids_[byte] != kNone || !is_needed(byte)) continue;
    return file.MalformedEntry(
        kTokensKey, absl::StrCat("there is no token for the byte ",
                                 absl::Hex(byte, absl::kZeroPad2),
                                 " (hexadecimal) and no unknown token"));
  }
  return absl::OkStatus();
}

bool Tokenizer::HasAllBytes(absl::string_view text) const {
  return std::all_of(text.begin(), text.end(), [this](char byte) {
    return byte_ids_[static_cast<uint8_t>(byte)] != kNone;
  });
}

bool Tokenizer::IsEndOfGeneration(TokenId id) const {
  return std::binary_search(end_tokens_.begin(), end_tokens_.end(), id);
}

GrammarCache& Tokenizer::grammars() const {
  absl::call_once(grammars_made_, [this] {
    std::vector<absl::string_view> texts;
    std::vector<absl::string_view> control_names;
    for (TokenId id = 0; id < vocab_size(); ++id) {
      const absl::string_view text = TokenText(id, /*skip_special=*/true);
      texts.push_back(text.size() <= kTrieTextBytesMax ? text : "");
      control_names.push_back(
          text.empty() ? TokenText(id, /*skip_special=*/false) : "");
    }
    grammars_ = std::make_unique<GrammarCache>(
        std::make_shared<TokenTrie>(texts, control_names), kGrammarsMax);
  });
  return *grammars_;
}

void Tokenizer::FinishTokens() {
  const SpecialTokens& named = special();
  end_tokens_ = named.ends;
  for (const std::optional<TokenId>& id : {named.eos, named.eot, named.eom}) {
    if (id.has_value()) end_tokens_.push_back(*id);
  }
  for (TokenId id = 0; id < vocab_size(); ++id) {
    if (Bytes(*this, id).empty()) continue;
    if (IsSpecial(*this, id)) {
      special_tokens_.Add(Bytes(*this, id), id);
      cuts_.AddSpecial(Bytes(*this, id));
    } else if (kind(id) == TokenKind::kUserDefined) {
      cuts_.AddWhole(Bytes(*this, id));
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
