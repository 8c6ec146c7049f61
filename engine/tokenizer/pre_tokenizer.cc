#include "engine/tokenizer/pre_tokenizer.h"

#include <algorithm>
#include <cstdint>
#include <optional>

#include "absl/strings/str_cat.h"
#include "engine/base/check.h"
#include "engine/tokenizer/character_class.h"

namespace tandem {
namespace {

struct CodePointRange {
  uint32_t first;
  uint32_t last;
};

// A bracket expression: classes and ranges, or all characters but these.
struct CharacterSet {
  CharacterClasses classes = 0;
  absl::Span<const CodePointRange> ranges = {};  // ascending
  bool negated = false;
};

bool Contains(const CharacterSet& set, const Character& character) {
  if (character.bytes == 0) return false;
  if ((set.classes & character.classes) != 0) return !set.negated;
  const auto after = std::upper_bound(
      set.ranges.begin(), set.ranges.end(), character.code_point,
      [](uint32_t point, const CodePointRange& range) {
        return point < range.first;
      });
  const bool in_ranges = after != set.ranges.begin() &&
                         character.code_point <= std::prev(after)->last;
  return in_ranges != set.negated;
}

enum class RuleKind {
  kContraction,        // 's|'t|'re|'ve|'m|'ll|'d
  kFoldedContraction,  // (?i:'s|'t|'re|'ve|'m|'ll|'d)
  kRun,                // LEAD?BODY{least,most}TAIL*
  kCasedWord,          // LEAD?U*L+SUFFIX?|LEAD?U+L*SUFFIX?, see MatchCasedWord
  kLines,              // \s*[\r\n]+
  kInnerSpace,         // \s+(?!\S)
  kFinalSpace,         // \s+$
};

struct Rule {
  RuleKind kind;
  CharacterSet lead = {};
  CharacterSet body = {};
  uint32_t least = 1;
  uint32_t most = UINT32_MAX;
  CharacterSet tail = {};
  bool has_contraction_suffix = false;
};

}  // namespace

// The alternatives of one regular expression. What none of them takes is a word
// of its own between the matches.
struct PreTokenizerStage {
  absl::Span<const Rule> rules;
};

namespace {

// The sets, with what they are in the published expressions.
constexpr CodePointRange kSpaceRange[] = {{' ', ' '}};
constexpr CodePointRange kSlashRange[] = {{'/', '/'}};
constexpr CodePointRange kAsciiDigitRange[] = {{'0', '9'}};
constexpr CodePointRange kDefaultMarkRanges[] = {  // $+<=>^~|
    {'$', '$'}, {'+', '+'}, {'<', '>'}, {'^', '^'}, {'|', '|'}, {'~', '~'}};
constexpr CodePointRange kAsciiMarkRanges[] = {  // $+<=>^`~|
    {'$', '$'}, {'+', '+'}, {'<', '>'}, {'^', '^'},
    {'`', '`'}, {'|', '|'}, {'~', '~'}};
// [!-/:-~！-／：-～‘-‟　-。]
constexpr CodePointRange kDeepSeekMarkRanges[] = {
    {'!', '/'},       {':', '~'},       {0x2018, 0x201F},
    {0x3000, 0x3002}, {0xFF01, 0xFF0F}, {0xFF1A, 0xFF5E}};
// [一-龥ࠀ-一가-퟿]
constexpr CodePointRange kAsianRanges[] = {
    {0x0800, 0x4E00}, {0x4E01, 0x9FA5}, {0xAC00, 0xD7FF}};
// The letters with case that deepseek-llm lists one by one.
constexpr CodePointRange kDeepSeekLetterRanges[] = {
    {0x41, 0x5A},       {0x61, 0x7A},       {0xB5, 0xB5},
    {0xC0, 0xD6},       {0xD8, 0xF6},       {0xF8, 0x1BA},
    {0x1BC, 0x1BF},     {0x1C4, 0x293},     {0x295, 0x2AF},
    {0x370, 0x373},     {0x376, 0x376},     {0x377, 0x377},
    {0x37B, 0x37D},     {0x37F, 0x37F},     {0x386, 0x386},
    {0x388, 0x38A},     {0x38C, 0x38C},     {0x38E, 0x3A1},
    {0x3A3, 0x3F5},     {0x3F7, 0x481},     {0x48A, 0x52F},
    {0x531, 0x556},     {0x10A0, 0x10C5},   {0x13A0, 0x13F5},
    {0x13F8, 0x13FD},   {0x1C90, 0x1CBA},   {0x1CBD, 0x1CBF},
    {0x1D00, 0x1D2B},   {0x1D6B, 0x1D77},   {0x1D79, 0x1D9A},
    {0x1E00, 0x1F15},   {0x1F18, 0x1F1D},   {0x1F20, 0x1F45},
    {0x1F48, 0x1F4D},   {0x1F50, 0x1F57},   {0x1F59, 0x1F59},
    {0x1F5B, 0x1F5B},   {0x1F5D, 0x1F5D},   {0x1F5F, 0x1F7D},
    {0x1F80, 0x1FB4},   {0x1FB6, 0x1FBC},   {0x1FBE, 0x1FBE},
    {0x1FC2, 0x1FC4},   {0x1FC6, 0x1FCC},   {0x1FD0, 0x1FD3},
    {0x1FD6, 0x1FDB},   {0x1FE0, 0x1FEC},   {0x1FF2, 0x1FF4},
    {0x1FF6, 0x1FFC},   {0x2102, 0x2102},   {0x2107, 0x2107},
    {0x210A, 0x2113},   {0x2115, 0x2115},   {0x2119, 0x211D},
    {0x2124, 0x2124},   {0x2126, 0x2126},   {0x2128, 0x2128},
    {0x212A, 0x212D},   {0x212F, 0x2134},   {0x2139, 0x2139},
    {0x213C, 0x213F},   {0x2145, 0x2149},   {0x214E, 0x214E},
    {0x2183, 0x2183},   {0x2184, 0x2184},   {0x2C00, 0x2C7B},
    {0x2C7E, 0x2CE4},   {0x2CEB, 0x2CEE},   {0x2CF2, 0x2CF2},
    {0x2CF3, 0x2CF3},   {0xA640, 0xA66D},   {0xA680, 0xA69B},
    {0xA722, 0xA76F},   {0xA771, 0xA787},   {0xA78B, 0xA78E},
    {0xAB70, 0xABBF},   {0xFB00, 0xFB06},   {0xFB13, 0xFB17},
    {0xFF21, 0xFF3A},   {0xFF41, 0xFF5A},   {0x10400, 0x1044F},
    {0x104B0, 0x104D3}, {0x104D8, 0x104FB}, {0x10C80, 0x10CB2},
    {0x10CC0, 0x10CF2}, {0x118A0, 0x118DF}, {0x1E900, 0x1E943}};

constexpr CharacterSet kSpaceSet = {.ranges = kSpaceRange};
constexpr CharacterSet kLetterSet = {.classes = kLetter};
constexpr CharacterSet kNumberSet = {.classes = kNumber};
constexpr CharacterSet kNewlineSet = {.classes = kNewline};
constexpr CharacterSet kWhiteSpaceSet = {.classes = kWhiteSpace};
constexpr CharacterSet kNewlineOrSlashSet = {.classes = kNewline,
                                             .ranges = kSlashRange};
constexpr CharacterSet kPunctuationSet = {.classes = kPunctuation};
constexpr CharacterSet kAsianSet = {.ranges = kAsianRanges};
constexpr CharacterSet kAsciiDigitSet = {.ranges = kAsciiDigitRange};
// [^\s\p{L}\p{N}]
constexpr CharacterSet kOtherSet = {.classes = kWhiteSpace | kLetter | kNumber,
                                    .negated = true};
// [^\r\n\p{L}\p{N}]
constexpr CharacterSet kLeadSet = {.classes = kNewline | kLetter | kNumber,
                                   .negated = true};
// [\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}] and [\p{Ll}\p{Lm}\p{Lo}\p{M}]
constexpr CharacterSet kUpperSet = {.classes = kUpper | kTitle | kModifier |
                                               kOtherLetter | kMark};
constexpr CharacterSet kLowerSet = {.classes = kLower | kModifier |
                                               kOtherLetter | kMark};

constexpr Rule kLinesRule = {.kind = RuleKind::kLines};
constexpr Rule kInnerSpaceRule = {.kind = RuleKind::kInnerSpace};
constexpr Rule kSpaceRule = {.kind = RuleKind::kRun, .body = kWhiteSpaceSet};
constexpr Rule kFoldedContractionRule = {.kind = RuleKind::kFoldedContraction};
constexpr Rule kLeadAndLettersRule = {
    .kind = RuleKind::kRun, .lead = kLeadSet, .body = kLetterSet};
constexpr Rule kNumberRule = {
    .kind = RuleKind::kRun, .body = kNumberSet, .most = 1};
constexpr Rule kUpToThreeNumbersRule = {
    .kind = RuleKind::kRun, .body = kNumberSet, .most = 3};
constexpr Rule kOtherAndNewlinesRule = {.kind = RuleKind::kRun,
                                        .lead = kSpaceSet,
                                        .body = kOtherSet,
                                        .tail = kNewlineSet};
constexpr Rule kOtherAndNewlinesOrSlashesRule = {.kind = RuleKind::kRun,
                                                 .lead = kSpaceSet,
                                                 .body = kOtherSet,
                                                 .tail = kNewlineOrSlashSet};

// 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
constexpr Rule kGpt2Rules[] = {
    {.kind = RuleKind::kContraction},
    {.kind = RuleKind::kRun, .lead = kSpaceSet, .body = kLetterSet},
    {.kind = RuleKind::kRun, .lead = kSpaceSet, .body = kNumberSet},
    {.kind = RuleKind::kRun, .lead = kSpaceSet, .body = kOtherSet},
    kInnerSpaceRule,
    kSpaceRule};
// (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|
//  ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
constexpr Rule kLlama3Rules[] = {kFoldedContractionRule,
                                 kLeadAndLettersRule,
                                 kUpToThreeNumbersRule,
                                 kOtherAndNewlinesRule,
                                 kLinesRule,
                                 kInnerSpaceRule,
                                 kSpaceRule};
// The same with \p{N} for \p{N}{1,3}.
constexpr Rule kQwen2Rules[] = {kFoldedContractionRule,
                                kLeadAndLettersRule,
                                kNumberRule,
                                kOtherAndNewlinesRule,
                                kLinesRule,
                                kInnerSpaceRule,
                                kSpaceRule};
// [^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|
// [^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|
// \p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+
constexpr Rule kTekkenRules[] = {{.kind = RuleKind::kCasedWord},
                                 kNumberRule,
                                 kOtherAndNewlinesOrSlashesRule,
                                 kLinesRule,
                                 kInnerSpaceRule,
                                 kSpaceRule};
// The same with (?i:'s|'t|'re|'ve|'m|'ll|'d)? after the words, and \p{N}{1,3}.
constexpr Rule kGpt4oRules[] = {
    {.kind = RuleKind::kCasedWord, .has_contraction_suffix = true},
    kUpToThreeNumbersRule,
    kOtherAndNewlinesOrSlashesRule,
    kLinesRule,
    kInnerSpaceRule,
    kSpaceRule};

constexpr Rule kNumberRules[] = {kNumberRule};
constexpr Rule kNumbersRules[] = {{.kind = RuleKind::kRun, .body = kNumberSet}};
constexpr Rule kThreeDigitsRules[] = {  // [0-9][0-9][0-9]
    {.kind = RuleKind::kRun, .body = kAsciiDigitSet, .least = 3, .most = 3}};
constexpr Rule kNewlineRules[] = {  // [\r\n]
    {.kind = RuleKind::kRun, .body = kNewlineSet, .most = 1}};
constexpr Rule kAsianRules[] = {{.kind = RuleKind::kRun, .body = kAsianSet}};
// [\p{P}\$\+<=>\^~\|`]+
constexpr Rule kFalconMarkRules[] = {
    {.kind = RuleKind::kRun,
     .body = {.classes = kPunctuation, .ranges = kAsciiMarkRanges}}};
// [\p{P}\$\+<=>\^~\|]+
constexpr Rule kDefaultMarkRules[] = {
    {.kind = RuleKind::kRun,
     .body = {.classes = kPunctuation, .ranges = kDefaultMarkRanges}}};
// \s?[A-Za-zµÀ-Ö...]+
constexpr Rule kDeepSeekLetterRules[] = {
    {.kind = RuleKind::kRun,
     .lead = kWhiteSpaceSet,
     .body = {.ranges = kDeepSeekLetterRanges}}};
constexpr Rule kDeepSeekMarkRules[] = {
    {.kind = RuleKind::kRun,
     .lead = kWhiteSpaceSet,
     .body = {.ranges = kDeepSeekMarkRanges}}};
constexpr Rule kFinalSpaceRules[] = {{.kind = RuleKind::kFinalSpace}};
constexpr Rule kSpaceAndLettersRules[] = {  // \s?\p{L}+
    {.kind = RuleKind::kRun, .lead = kWhiteSpaceSet, .body = kLetterSet}};
constexpr Rule kSpaceAndPunctuationRules[] = {  // \s?\p{P}+
    {.kind = RuleKind::kRun, .lead = kWhiteSpaceSet, .body = kPunctuationSet}};

// Each stage cuts the words of the stage before further.
constexpr PreTokenizerStage kGpt2[] = {{kGpt2Rules}};
constexpr PreTokenizerStage kLlama3[] = {{kLlama3Rules}};
constexpr PreTokenizerStage kQwen2[] = {{kQwen2Rules}};
constexpr PreTokenizerStage kTekken[] = {{kTekkenRules}};
constexpr PreTokenizerStage kGpt4o[] = {{kGpt4oRules}};
constexpr PreTokenizerStage kSmolLm[] = {{kNumberRules}, {kGpt2Rules}};
constexpr PreTokenizerStage kFalcon[] = {
    {kFalconMarkRules}, {kGpt2Rules}, {kThreeDigitsRules}};
constexpr PreTokenizerStage kDefault[] = {
    {kDefaultMarkRules}, {kGpt2Rules}, {kNumbersRules}, {kThreeDigitsRules}};
constexpr PreTokenizerStage kDeepSeekLlm[] = {
    {kNewlineRules},    {kDeepSeekLetterRules}, {kDeepSeekMarkRules},
    {kFinalSpaceRules}, {kAsianRules},          {kNumbersRules}};
constexpr PreTokenizerStage kDeepSeekCoder[] = {{kNewlineRules},
                                                {kSpaceAndLettersRules},
                                                {kSpaceAndPunctuationRules},
                                                {kAsianRules},
                                                {kNumberRules}};

// Name, stages, ignores merges, adds BOS.
// Published tokenizers of Qwen's families normalise texts (NFC); those of the
// others here do not.
constexpr PreTokenizerTraits kLlama3Traits = {.ignores_merges = true,
                                              .adds_bos = true};
constexpr PreTokenizerTraits kQwenTraits = {.normalizes = true};

constexpr PreTokenizer kPreTokenizers[] = {
    {"default", kDefault},
    {"gpt-2", kGpt2},
    {"phi-2", kGpt2},
    {"llama-bpe", kLlama3, kLlama3Traits},
    {"llama3", kLlama3, kLlama3Traits},
    {"llama-v3", kLlama3, kLlama3Traits},
    {"falcon3", kLlama3, kLlama3Traits},
    {"dbrx", kLlama3},
    {"smaug-bpe", kLlama3},
    {"qwen2", kQwen2, kQwenTraits},
    {"deepseek-r1-qwen", kQwen2, kQwenTraits},
    {"smollm", kSmolLm},
    {"starcoder", kSmolLm},
    {"refact", kSmolLm},
    {"deepseek-llm", kDeepSeekLlm},
    {"deepseek-coder", kDeepSeekCoder},
    {"falcon", kFalcon},
    {"tekken", kTekken, kLlama3Traits},
    {"gpt-4o", kGpt4o},
};

// Matches the rules of one stage in one piece of text. A match is told by its
// end; one that would be empty is none.
class Scanner {
 public:
  Scanner(const PreTokenizerStage& stage, absl::string_view piece)
      : stage_(stage), piece_(piece) {}

  // The end of the first rule's match at `begin`, or nothing.
  std::optional<size_t> Match(size_t begin);
  Character At(size_t offset) {
    ++looks_;
    return FirstCharacter(piece_.substr(offset));
  }
  size_t looks() const { return looks_; }

 private:
  std::optional<size_t> MatchRule(const Rule& rule, size_t begin);
  std::optional<size_t> MatchContraction(size_t begin, bool folded);
  std::optional<size_t> MatchRun(const Rule& rule, size_t begin);
  std::optional<size_t> MatchBody(const Rule& rule, size_t begin);
  std::optional<size_t> MatchCasedWord(const Rule& rule, size_t begin);
  std::optional<size_t> MatchUpperThenLower(size_t begin);
  std::optional<size_t> MatchUpper(size_t begin);
  std::optional<size_t> MatchLines(size_t begin);
  std::optional<size_t> MatchInnerSpace(size_t begin);
  std::optional<size_t> MatchFinalSpace(size_t begin);
  // The end of the characters of `set` from `begin` on.
  size_t EndOfRun(const CharacterSet& set, size_t begin);

  const PreTokenizerStage& stage_;
  const absl::string_view piece_;
  size_t looks_ = 0;
  std::optional<size_t>
      final_space_;  // where the white space at the end begins
};

std::optional<size_t> Scanner::Match(size_t begin) {
  for (const Rule& rule : stage_.rules) {
    if (const std::optional<size_t> end = MatchRule(rule, begin)) return end;
  }
  return std::nullopt;
}

std::optional<size_t> Scanner::MatchRule(const Rule& rule, size_t begin) {
  switch (rule.kind) {
    case RuleKind::kContraction:
      return MatchContraction(begin, /*folded=*/false);
    case RuleKind::kFoldedContraction:
      return MatchContraction(begin, /*folded=*/true);
    case RuleKind::kRun:
      return MatchRun(rule, begin);
    case RuleKind::kCasedWord:
      return MatchCasedWord(rule, begin);
    case RuleKind::kLines:
      return MatchLines(begin);
    case RuleKind::kInnerSpace:
      return MatchInnerSpace(begin);
    case RuleKind::kFinalSpace:
      return MatchFinalSpace(begin);
  }
  TANDEM_CHECK(false);
}

size_t Scanner::EndOfRun(const CharacterSet& set, size_t begin) {
  size_t end = begin;
  for (Character next = At(end); Contains(set, next); next = At(end)) {
    end += next.bytes;
  }
  return end;
}

std::optional<size_t> Scanner::MatchContraction(size_t begin, bool folded) {
  const Character quote = At(begin);
  if (quote.code_point != '\'') return std::nullopt;
  // Case folding of Unicode: U+017F, the long s, is an s too.
  const auto letter_of = [folded](const Character& character) -> uint32_t {
    if (!folded) return character.code_point;
    if (character.code_point == 0x17F) return 's';
    const bool upper =
        character.code_point >= 'A' && character.code_point <= 'Z';
    return character.code_point + (upper ? 'a' - 'A' : 0);
  };
  const Character first = At(begin + 1);
  if (first.bytes == 0) return std::nullopt;
  const size_t after_first = begin + 1 + first.bytes;
  const uint32_t letter = letter_of(first);
  if (letter == 's' || letter == 't' || letter == 'm' || letter == 'd') {
    return after_first;
  }
  const Character second = At(after_first);
  if (second.bytes == 0) return std::nullopt;
  const uint32_t next = letter_of(second);
  const bool found = (letter == 'r' && next == 'e') ||
                     (letter == 'v' && next == 'e') ||
                     (letter == 'l' && next == 'l');
  if (!found) return std::nullopt;
  return after_first + second.bytes;
}

std::optional<size_t> Scanner::MatchRun(const Rule& rule, size_t begin) {
  const Character first = At(begin);
  if (Contains(rule.lead, first)) {
    const std::optional<size_t> end = MatchBody(rule, begin + first.bytes);
    if (end.has_value()) return end;
  }
  return MatchBody(rule, begin);
}

std::optional<size_t> Scanner::MatchBody(const Rule& rule, size_t begin) {
  size_t end = begin;
  uint32_t count = 0;
  while (count < rule.most) {
    const Character next = At(end);
    if (!Contains(rule.body, next)) break;
    end += next.bytes;
    ++count;
  }
  if (count < rule.least) return std::nullopt;
  return EndOfRun(rule.tail, end);
}

// With U = [\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}] and L = [\p{Ll}\p{Lm}\p{Lo}\p{M}]:
// LEAD?U*L+ or else LEAD?U+L*, each with the lead tried first.
std::optional<size_t> Scanner::MatchCasedWord(const Rule& rule, size_t begin) {
  const Character first = At(begin);
  const bool has_lead = Contains(kLeadSet, first);
  const size_t after_lead = begin + first.bytes;
  std::optional<size_t> end;
  if (has_lead) end = MatchUpperThenLower(after_lead);
  if (!end.has_value()) end = MatchUpperThenLower(begin);
  if (!end.has_value() && has_lead) end = MatchUpper(after_lead);
  if (!end.has_value()) end = MatchUpper(begin);
  if (!end.has_value() || !rule.has_contraction_suffix) return end;
  const std::optional<size_t> suffix = MatchContraction(*end, /*folded=*/true);
  return suffix.has_value() ? suffix : end;
}

// U*L+. U* is greedy; where no character of L follows it gives back up to its
// last character that is in L as well, which is then all of L+.
std::optional<size_t> Scanner::MatchUpperThenLower(size_t begin) {
  size_t end = begin;
  std::optional<size_t> last_of_both;  // the end of such a character
  while (true) {
    const Character next = At(end);
    if (!Contains(kUpperSet, next)) break;
    end += next.bytes;
    if (Contains(kLowerSet, next)) last_of_both = end;
  }
  const size_t lower_end = EndOfRun(kLowerSet, end);
  if (lower_end > end) return lower_end;
  return last_of_both;
}

// U+L*, where U*L+ does not match: so no character of L follows.
std::optional<size_t> Scanner::MatchUpper(size_t begin) {
  const size_t end = EndOfRun(kUpperSet, begin);
  if (end == begin) return std::nullopt;
  return end;
}

std::optional<size_t> Scanner::MatchLines(size_t begin) {
  std::optional<size_t> last_newline;
  size_t end = begin;
  for (Character next = At(end); Contains(kWhiteSpaceSet, next);
       next = At(end)) {
    end += next.bytes;
    if (Contains(kNewlineSet, next)) last_newline = end;
  }
  return last_newline;
}

std::optional<size_t> Scanner::MatchInnerSpace(size_t begin) {
  size_t last = begin;  // where the last character begins
  size_t end = begin;
  for (Character next = At(end); Contains(kWhiteSpaceSet, next);
       next = At(end)) {
    last = end;
    end += next.bytes;
  }
  if (end < piece_.size()) end = last;
  if (end == begin) return std::nullopt;
  return end;
}

// Found once a piece, from behind: white space that is not at the end would be
// looked through again from each of its characters.
std::optional<size_t> Scanner::MatchFinalSpace(size_t begin) {
  if (!final_space_.has_value()) {
    size_t start = piece_.size();
    constexpr size_t kSpaceBytesMax = 3;  // U+2028 and others
    for (size_t bytes = 1; bytes <= std::min(kSpaceBytesMax, start); ++bytes) {
      const Character last = At(start - bytes);
      if (last.bytes != bytes || !Contains(kWhiteSpaceSet, last)) continue;
      start -= bytes;
      bytes = 0;
    }
    final_space_ = start;
  }
  if (begin < *final_space_ || begin == piece_.size()) return std::nullopt;
  return piece_.size();
}

size_t SplitByStages(absl::Span<const PreTokenizerStage> stages,
                     absl::string_view piece, PreTokenizer::OnWord on_word) {
  if (stages.empty()) {
    on_word(piece);
    return 0;
  }
  Scanner scanner(stages[0], piece);
  size_t looks = 0;
  const auto emit = [&](size_t begin, size_t end) {
    if (begin == end) return;
    looks += SplitByStages(stages.subspan(1), piece.substr(begin, end - begin),
                           on_word);
  };
  size_t unmatched = 0;  // the piece is emitted up to here
  size_t at = 0;
  while (at < piece.size()) {
    const std::optional<size_t> end = scanner.Match(at);
    if (!end.has_value()) {
      at += scanner.At(at).bytes;
      continue;
    }
    emit(unmatched, at);
    emit(at, *end);
    at = *end;
    unmatched = at;
  }
  emit(unmatched, at);
  return looks + scanner.looks();
}

}  // namespace

const PreTokenizer* PreTokenizer::Find(absl::string_view name) {
  for (const PreTokenizer& pre_tokenizer : kPreTokenizers) {
    if (pre_tokenizer.name_ == name) return &pre_tokenizer;
  }
  return nullptr;
}

std::string PreTokenizer::Names() {
  std::string names;
  for (const PreTokenizer& pre_tokenizer : kPreTokenizers) {
    absl::StrAppend(&names, names.empty() ? "" : ", ", pre_tokenizer.name_);
  }
  return names;
}

size_t PreTokenizer::Split(absl::string_view text, OnWord on_word) const {
  if (text.empty()) return 0;
  return SplitByStages(stages_, text, on_word);
}

}  // namespace tandem
