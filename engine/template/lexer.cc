#include "engine/template/lexer.h"

#include <algorithm>
#include <array>
#include <limits>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "engine/base/status.h"
#include "engine/template/characters.h"
#include "engine/template/render_budget.h"

namespace tandem {
namespace {

using Kind = TemplateToken::Kind;

constexpr std::array<const char*, 26> kOperators = {
    "**", "//", "==", "!=", ">=", "<=", "+", "-", "/", "*", "%", "~", "[",
    "]",  "(",  ")",  "{",  "}",  ">",  "<", "=", ".", ":", "|", ",", ";"};

bool IsSpaceAt(absl::string_view text, size_t offset) {
  return offset < text.size() && IsSpace(CodePointOf(text.substr(offset)));
}

size_t SkipSpace(absl::string_view text, size_t offset) {
  while (IsSpaceAt(text, offset)) offset += CharacterBytes(text, offset);
  return offset;
}

bool IsNameByte(char byte) {
  return absl::ascii_isalnum(byte) || byte == '_' ||
         static_cast<uint8_t>(byte) >= 0x80;
}

class Lexer {
 public:
  explicit Lexer(absl::string_view source) : source_(source) {}

  absl::StatusOr<std::vector<TemplateToken>> Run();

 private:
  // Keeps the error if it is the first. What is read after it is for nothing.
  void Fail(size_t offset, absl::string_view message) {
    if (status_.ok()) status_ = TemplateErrorAt(source_, offset, message);
    at_ = source_.size();
  }
  bool StartsWith(size_t offset, absl::string_view text) const {
    return source_.substr(std::min(offset, source_.size()), text.size()) ==
           text;
  }
  void Push(Kind kind, size_t offset, absl::string_view text) {
    tokens_.push_back(
        {.kind = kind, .offset = offset, .text = std::string(text)});
  }

  size_t NextTag() const;
  void PushText(size_t end, char sign, Kind tag);
  // Past the end of a tag that `close` ends: its sign, and the white space that
  // it takes. 0 where no end stands at `offset`.
  size_t TagEnd(size_t offset, absl::string_view close) const;
  void LexComment(size_t begin);
  // Whether a raw block begins at `begin`; `*body` is where its text does.
  bool IsRawBegin(size_t begin, size_t* body) const;
  void LexRaw(size_t begin);
  void LexTag(Kind begin_kind);
  void LexToken(std::string* brackets);
  void LexNumber();
  void LexString();
  void DecodeEscape(size_t end, std::string* text);
  void DecodeCodePoint(size_t digits, size_t end, std::string* text);
  void LexOperator(std::string* brackets);
  bool IsDigitAt(size_t offset) const {
    return offset < source_.size() && absl::ascii_isdigit(source_[offset]);
  }
  size_t DigitsEnd(size_t offset) const;

  const absl::string_view source_;
  absl::Status status_;
  size_t at_ = 0;
  // Whether what stands at `at_` begins a line, as far as lstrip_blocks cares.
  bool is_line_start_ = true;
  std::vector<TemplateToken> tokens_;
};

size_t Lexer::NextTag() const {
  for (size_t i = at_; i + 1 < source_.size(); ++i) {
    if (source_[i] != '{') continue;
    const char kind = source_[i + 1];
    if (kind == '{' || kind == '%' || kind == '#') return i;
  }
  return source_.size();
}

void Lexer::PushText(size_t end, char sign, Kind tag) {
  absl::string_view text = source_.substr(at_, end - at_);
  if (sign == '-') {
    text = text.substr(0, StripSpace(text, TextEnds::kRight).second);
  } else if (sign != '+' && tag != Kind::kOutputBegin) {
    const size_t line_end = text.rfind('\n');
    const size_t line = line_end == absl::string_view::npos ? 0 : line_end + 1;
    if (line > 0 || is_line_start_) {
      const absl::string_view lead = text.substr(line);
      if (StripSpace(lead, TextEnds::kLeft).first == lead.size()) {
        text = text.substr(0, line);
      }
    }
  }
  if (!text.empty()) Push(Kind::kText, at_, text);
}

size_t Lexer::TagEnd(size_t offset, absl::string_view close) const {
  const bool is_output = close == "}}";
  if (StartsWith(offset, close)) {
    const size_t end = offset + close.size();
    return !is_output && StartsWith(end, "\n") ? end + 1 : end;
  }
  if (!StartsWith(offset + 1, close)) return 0;
  const size_t end = offset + 1 + close.size();
  if (source_[offset] == '-') return SkipSpace(source_, end);
  return source_[offset] == '+' && !is_output ? end : 0;
}

void Lexer::LexComment(size_t begin) {
  const size_t close = source_.find("#}", at_);
  if (close == absl::string_view::npos) {
    return Fail(begin, "the comment has no end: #} is missing");
  }
  const bool has_sign =
      close > at_ && (source_[close - 1] == '-' || source_[close - 1] == '+');
  at_ = TagEnd(has_sign ? close - 1 : close, "#}");
}

bool Lexer::IsRawBegin(size_t begin, size_t* body) const {
  size_t at = begin + 2;
  if (StartsWith(at, "-") || StartsWith(at, "+")) ++at;
  at = SkipSpace(source_, at);
  if (!StartsWith(at, "raw")) return false;
  at = SkipSpace(source_, at + 3);
  if (StartsWith(at, "-%}")) {
    *body = SkipSpace(source_, at + 3);
    return true;
  }
  *body = at + 2;
  return StartsWith(at, "%}");
}

void Lexer::LexRaw(size_t begin) {
  size_t open = at_;
  while ((open = source_.find("{%", open)) != absl::string_view::npos) {
    size_t at = open + 2;
    const char sign = at < source_.size() ? source_[at] : ' ';
    if (sign == '-' || sign == '+') ++at;
    at = SkipSpace(source_, at);
    if (StartsWith(at, "endraw")) {
      const size_t end = TagEnd(SkipSpace(source_, at + 6), "%}");
      if (end != 0) {
        PushText(open, sign, Kind::kBlockBegin);
        at_ = end;
        return;
      }
    }
    open += 2;
  }
  Fail(begin, "the raw block has no end: {% endraw %} is missing");
}

absl::StatusOr<std::vector<TemplateToken>> Lexer::Run() {
  while (at_ < source_.size()) {
    const size_t begin = NextTag();
    if (begin == source_.size()) {
      Push(Kind::kText, at_, source_.substr(at_));
      break;
    }
    const char kind = source_[begin + 1];
    const Kind tag = kind == '{' ? Kind::kOutputBegin : Kind::kBlockBegin;
    const char sign = begin + 2 < source_.size() ? source_[begin + 2] : ' ';
    PushText(begin, sign, tag);
    size_t raw_body = 0;
    const bool is_raw = kind == '%' && IsRawBegin(begin, &raw_body);
    at_ = is_raw ? raw_body : begin + (sign == '-' || sign == '+' ? 3 : 2);
    is_line_start_ = is_raw && source_[at_ - 1] == '\n';
    if (kind == '#') {
      LexComment(begin);
    } else if (is_raw) {
      LexRaw(begin);
    } else {
      Push(tag, begin, "");
      LexTag(tag);
    }
    is_line_start_ = source_[at_ - 1] == '\n';
  }
  Push(Kind::kEnd, source_.size(), "");
  if (!status_.ok()) return status_;
  return std::move(tokens_);
}

void Lexer::LexTag(Kind begin_kind) {
  const bool is_output = begin_kind == Kind::kOutputBegin;
  const absl::string_view close = is_output ? "}}" : "%}";
  const size_t begin = tokens_.back().offset;
  std::string brackets;  // those that are open
  while (at_ < source_.size()) {
    if (brackets.empty()) {
      if (const size_t end = TagEnd(at_, close); end != 0) {
        Push(is_output ? Kind::kOutputEnd : Kind::kBlockEnd, at_, "");
        at_ = end;
        return;
      }
    }
    if (IsSpaceAt(source_, at_)) {
      at_ = SkipSpace(source_, at_);
      continue;
    }
    LexToken(&brackets);
  }
  Fail(begin, absl::StrCat("the tag has no end: ", close, " is missing"));
}

void Lexer::LexToken(std::string* brackets) {
  const char first = source_[at_];
  if (absl::ascii_isdigit(first)) return LexNumber();
  if (first == '"' || first == '\'') return LexString();
  if (!IsNameByte(first)) return LexOperator(brackets);
  size_t end = at_;
  while (end < source_.size() && IsNameByte(source_[end])) ++end;
  const absl::string_view name = source_.substr(at_, end - at_);
  // Names are compared in many places.
  if (name.size() > kVariableNameBytesMax) {
    return Fail(at_, absl::StrCat("a name has more than ",
                                  kVariableNameBytesMax, " bytes"));
  }
  for (size_t i = 0; i < name.size(); i += CharacterBytes(name, i)) {
    const uint32_t code_point = CodePointOf(name.substr(i));
    if (code_point >= 0x80 && !IsLetter(code_point) && !IsDecimal(code_point)) {
      return Fail(at_ + i, "a character that can not stand in a tag");
    }
  }
  Push(Kind::kName, at_, name);
  at_ = end;
}

// Past the digits at `offset`, with single underscores between them.
size_t Lexer::DigitsEnd(size_t offset) const {
  while (IsDigitAt(offset) ||
         (StartsWith(offset, "_") && IsDigitAt(offset + 1))) {
    ++offset;
  }
  return offset;
}

void Lexer::LexNumber() {
  const size_t begin = at_;
  size_t end = DigitsEnd(begin);
  bool is_float = false;
  // In `x.0.5` the 0 is an item, not the beginning of a number.
  const bool may_be_float = begin == 0 || source_[begin - 1] != '.';
  if (may_be_float && StartsWith(end, ".") && IsDigitAt(end + 1)) {
    is_float = true;
    end = DigitsEnd(end + 1);
  }
  if (may_be_float && (StartsWith(end, "e") || StartsWith(end, "E"))) {
    const size_t sign = StartsWith(end + 1, "+") || StartsWith(end + 1, "-");
    if (IsDigitAt(end + 1 + sign)) {
      is_float = true;
      end = DigitsEnd(end + 1 + sign);
    }
  }
  std::string digits;
  for (const char digit : source_.substr(begin, end - begin)) {
    if (digit != '_') digits.push_back(digit);
  }
  TemplateToken token = {.kind = Kind::kInteger, .offset = begin};
  if (is_float) {
    token.kind = Kind::kFloat;
    if (!absl::SimpleAtod(digits, &token.number)) {
      return Fail(begin, "this is not a number");
    }
  } else if (digits == "0" && end < source_.size() &&
             absl::StrContains("xXoObB", source_.substr(end, 1))) {
    return Fail(begin, "only decimal numbers are supported");
  } else if (digits.size() > 1 && digits[0] == '0' &&
             digits.find_first_not_of('0') != std::string::npos) {
    return Fail(begin, "a number can not begin with 0");
  } else if (!absl::SimpleAtoi(digits, &token.integer)) {
    return Fail(begin, "the number is above 2^63 - 1");
  }
  token.text = std::string(source_.substr(begin, end - begin));
  tokens_.push_back(std::move(token));
  at_ = end;
}

void Lexer::LexString() {
  const size_t begin = at_;
  const char quote = source_[begin];
  size_t end = begin + 1;
  while (end < source_.size() && source_[end] != quote) {
    end += source_[end] == '\\' ? 2 : 1;
  }
  if (end >= source_.size()) {
    return Fail(begin, "the string has no closing quote");
  }
  std::string text;
  at_ = begin + 1;
  while (at_ < end) {
    if (source_[at_] != '\\') {
      text.push_back(source_[at_++]);
    } else {
      DecodeEscape(end, &text);
    }
  }
  Push(Kind::kString, begin, text);
  at_ = end + 1;
}

// One escape, as in Python's strings; one that is none stays as it is.
void Lexer::DecodeEscape(size_t end, std::string* text) {
  const char kind = source_[at_ + 1];
  constexpr absl::string_view kFrom = "nrtabfv\\'\"\n";
  constexpr absl::string_view kTo("\n\r\t\a\b\f\v\\'\"", 10);
  const size_t simple = kFrom.find(kind);
  if (simple != absl::string_view::npos) {
    if (simple < kTo.size()) text->push_back(kTo[simple]);
    at_ += 2;
    return;
  }
  if (kind == 'x' || kind == 'u' || kind == 'U') {
    return DecodeCodePoint(kind == 'x' ? 2 : kind == 'u' ? 4 : 8, end, text);
  }
  if (kind == 'N') return Fail(at_, "\\N escapes are not supported");
  if (kind < '0' || kind > '7') {
    text->push_back('\\');
    ++at_;
    return;
  }
  uint32_t code_point = 0;
  ++at_;
  for (int i = 0; i < 3 && source_[at_] >= '0' && source_[at_] <= '7'; ++i) {
    code_point = code_point * 8 + static_cast<uint32_t>(source_[at_++] - '0');
  }
  text->append(Utf8Of(code_point));
}

void Lexer::DecodeCodePoint(size_t digits, size_t end, std::string* text) {
  const absl::string_view hex = source_.substr(at_ + 2, digits);
  uint32_t code_point = 0;
  if (at_ + 2 + digits > end || !absl::SimpleHexAtoi(hex, &code_point) ||
      !std::all_of(hex.begin(), hex.end(),
                   [](char c) { return absl::ascii_isxdigit(c); })) {
    return Fail(
        at_, absl::StrCat("this escape needs ", digits, " hexadecimal digits"));
  }
  if (code_point > 0x10FFFF || (code_point >= 0xD800 && code_point <= 0xDFFF)) {
    return Fail(at_, "this escape is not a Unicode character");
  }
  text->append(Utf8Of(code_point));
  at_ += 2 + digits;
}

void Lexer::LexOperator(std::string* brackets) {
  const auto* const found =
      std::find_if(kOperators.begin(), kOperators.end(),
                   [this](const char* text) { return StartsWith(at_, text); });
  if (found == kOperators.end()) {
    return Fail(at_, "a character that can not stand in a tag");
  }
  const absl::string_view text = *found;
  constexpr absl::string_view kOpening = "([{";
  constexpr absl::string_view kClosing = ")]}";
  if (absl::StrContains(kOpening, text)) brackets->append(text.data(), 1);
  if (const size_t kind = kClosing.find(text);
      kind != absl::string_view::npos) {
    if (brackets->empty() || brackets->back() != kOpening[kind]) {
      return Fail(at_, absl::StrCat("unexpected '", text, "'"));
    }
    brackets->pop_back();
  }
  Push(Kind::kOperator, at_, text);
  at_ += text.size();
}

}  // namespace

std::string TemplatePlace(absl::string_view source, size_t offset) {
  const absl::string_view before = source.substr(0, offset);
  const auto line = 1 + std::count(before.begin(), before.end(), '\n');
  const size_t line_end = before.rfind('\n');
  const size_t line_begin =
      line_end == absl::string_view::npos ? 0 : line_end + 1;
  return absl::StrCat("line ", line, ", column ",
                      1 + CountCharacters(before.substr(line_begin)));
}

absl::Status TemplateErrorAt(absl::string_view source, size_t offset,
                             absl::string_view message) {
  return TemplateError(
      absl::StrCat(TemplatePlace(source, offset), ": ", message));
}

std::string NormalizeTemplateSource(absl::string_view source) {
  std::string normalized;
  normalized.reserve(source.size());
  for (size_t i = 0; i < source.size(); ++i) {
    if (source[i] != '\r') {
      normalized.push_back(source[i]);
    } else if (source.substr(i, 2) != "\r\n") {
      normalized.push_back('\n');
    }
  }
  if (!normalized.empty() && normalized.back() == '\n') normalized.pop_back();
  return normalized;
}

absl::StatusOr<std::vector<TemplateToken>> TokenizeTemplate(
    absl::string_view source) {
  return Lexer(source).Run();
}

const TemplateToken& TokenStream::Next() {
  const TemplateToken& token = tokens_[index_];
  if (index_ + 1 < tokens_.size()) ++index_;
  return token;
}

bool TokenStream::IsName(absl::string_view name) const {
  return Is(Kind::kName) && current().text == name;
}

bool TokenStream::IsOperator(absl::string_view text) const {
  return Is(Kind::kOperator) && current().text == text;
}

bool TokenStream::IsFollowedBy(absl::string_view text) const {
  const TemplateToken& next = tokens_[std::min(index_ + 1, tokens_.size() - 1)];
  return (next.kind == Kind::kName || next.kind == Kind::kOperator) &&
         next.text == text;
}

bool TokenStream::HasNameSince(size_t place, absl::string_view name) const {
  for (size_t i = place; i < index_; ++i) {
    if (tokens_[i].kind == Kind::kName && tokens_[i].text == name) return true;
  }
  return false;
}

bool TokenStream::SkipName(absl::string_view name) {
  if (!IsName(name)) return false;
  Next();
  return true;
}

bool TokenStream::SkipOperator(absl::string_view text) {
  if (!IsOperator(text)) return false;
  Next();
  return true;
}

void TokenStream::ExpectName(absl::string_view name) {
  if (!SkipName(name)) FailUnexpected(absl::StrCat("'", name, "'"));
}

void TokenStream::ExpectOperator(absl::string_view text) {
  if (!SkipOperator(text)) FailUnexpected(absl::StrCat("'", text, "'"));
}

const TemplateToken& TokenStream::Expect(Kind kind, absl::string_view what) {
  if (!Is(kind)) FailUnexpected(what);
  return Next();
}

void TokenStream::Fail(absl::string_view message) {
  FailAt(current().offset, message);
}

void TokenStream::FailAt(size_t offset, absl::string_view message) {
  if (status_.ok()) status_ = TemplateErrorAt(source_, offset, message);
  index_ = tokens_.size() - 1;
}

void TokenStream::FailUnexpected(absl::string_view what) {
  constexpr std::pair<Kind, absl::string_view> kNames[] = {
      {Kind::kText, "text"},
      {Kind::kBlockBegin, "{%"},
      {Kind::kBlockEnd, "%}"},
      {Kind::kOutputBegin, "{{"},
      {Kind::kOutputEnd, "}}"},
      {Kind::kString, "a string"},
      {Kind::kEnd, "the end of the template"},
  };
  std::string found = Quoted(current().text);
  for (const auto& [kind, name] : kNames) {
    if (Is(kind)) found = std::string(name);
  }
  Fail(absl::StrCat("expected ", what, ", found ", found));
}

}  // namespace tandem
