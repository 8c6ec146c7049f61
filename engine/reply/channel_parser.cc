#include "engine/reply/channel_parser.h"

#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "engine/reply/channel_names.h"

namespace tandem {
namespace {

constexpr char kRole[] = "assistant";

bool IsNameByte(char byte) {
  return absl::ascii_isalnum(static_cast<unsigned char>(byte)) || byte == '_' ||
         byte == '-' || byte == '.';
}

// True where `text` may be the beginning of what stands before a channel:
// "assistant to=functions.NAME", of which each part may be missing, with white
// space around each.
bool MayBeRole(absl::string_view text) {
  constexpr absl::string_view kTo = absl::string_view(kRecipient).substr(1);
  text = absl::StripLeadingAsciiWhitespace(text);
  if (absl::StartsWith(kRole, text)) return true;
  if (absl::ConsumePrefix(&text, kRole) &&
      !absl::ascii_isspace(static_cast<unsigned char>(text[0]))) {
    return false;
  }
  text = absl::StripLeadingAsciiWhitespace(text);
  if (absl::StartsWith(kTo, text)) return true;
  if (!absl::ConsumePrefix(&text, kTo)) return false;
  while (!text.empty() && IsNameByte(text.front())) text.remove_prefix(1);
  return absl::StripAsciiWhitespace(text).empty();
}

// The function that a header calls; "" for none.
std::string FunctionOf(absl::string_view role, absl::string_view channel) {
  for (const absl::string_view text : {role, channel}) {
    const size_t at = text.find(kRecipient);
    if (at == absl::string_view::npos) continue;
    absl::string_view name = text.substr(at + sizeof(kRecipient) - 1);
    if (!absl::ConsumePrefix(&name, kFunctions)) return "";
    size_t bytes = 0;
    while (bytes < name.size() && IsNameByte(name[bytes])) ++bytes;
    return std::string(name.substr(0, bytes));
  }
  return "";
}

ReplySymbol ControlOf(const ReplyFormat& format, absl::string_view name) {
  for (const ControlMark& control : format.controls) {
    if (control.name == name) return ControlSymbol(control.id);
  }
  return -1;  // no symbol
}

}  // namespace

ChannelParser::ChannelParser(const ReplyFormat& format, Options options)
    : has_tools_(options.has_tools),
      start_(ControlOf(format, kStartMark)),
      channel_(ControlOf(format, kChannelMark)),
      message_(ControlOf(format, kMessageMark)),
      end_(ControlOf(format, kEndMark)),
      calls_(std::move(options.call_id_seed)),
      part_(options.starts_in_reasoning ? Part::kReasoning : Part::kHeader) {}

void ChannelParser::Read(absl::Span<const ReplySymbol> symbols,
                         ReplyParts* parts) {
  for (const ReplySymbol symbol : symbols) {
    if (symbol >= kFirstControlSymbol) {
      ReadControl(symbol, parts);
    } else if (part_ == Part::kHeader) {
      ReadHeader(static_cast<char>(symbol), parts);
    } else {
      ReadMessage(static_cast<char>(symbol), parts);
    }
  }
}

void ChannelParser::Finish(ReplyParts* parts) {
  // A header that was begun by a token and cut says nothing.
  if (part_ == Part::kHeader && !has_start_ && !channel_text_.has_value()) {
    BreakHeader(parts);
  }
}

void ChannelParser::ReadControl(ReplySymbol symbol, ReplyParts* parts) {
  const bool in_header = part_ == Part::kHeader;
  if (symbol == message_ && in_header) {
    BeginMessage();
    return;
  }
  if (symbol == start_ || symbol == end_ ||
      (symbol == channel_ && !in_header)) {
    if (in_header && !has_start_ && !channel_text_.has_value()) {
      BreakHeader(parts);  // text between messages
    }
    part_ = Part::kHeader;
    role_.clear();
    header_.clear();
    channel_text_.reset();
    has_start_ = symbol == start_;
  }
  if (symbol == channel_) {
    channel_text_ = "";
  } else if (part_ == Part::kHeader && channel_text_.has_value()) {
    // "<|constrain|>" ends a name.
    channel_text_->push_back(' ');
  }
}

void ChannelParser::ReadHeader(char byte, ReplyParts* parts) {
  header_.push_back(byte);
  (channel_text_.has_value() ? *channel_text_ : role_).push_back(byte);
  if (header_.size() > kHeaderBytesMax ||
      (!channel_text_.has_value() && !MayBeRole(role_))) {
    BreakHeader(parts);
  }
}

void ChannelParser::BreakHeader(ReplyParts* parts) {
  part_ = Part::kContent;
  is_new_message_ = true;
  for (const char byte : std::exchange(header_, "")) Say(byte, parts);
}

void ChannelParser::BeginMessage() {
  const std::string channel = channel_text_.value_or("");
  function_ = has_tools_ ? FunctionOf(role_, channel) : std::string();
  part_ = Part::kContent;
  if (!function_.empty()) {
    part_ = Part::kCall;
  } else if (absl::StartsWith(channel, "analysis")) {
    part_ = Part::kReasoning;
  }
  header_.clear();
  is_new_message_ = true;
}

void ChannelParser::Say(char byte, ReplyParts* parts) {
  const bool is_reasoning = part_ == Part::kReasoning;
  std::string& text = is_reasoning ? parts->reasoning : parts->content;
  bool& has_text = is_reasoning ? has_reasoning_ : has_content_;
  if (is_new_message_ && has_text) text.push_back('\n');
  is_new_message_ = false;
  has_text = true;
  text.push_back(byte);
}

void ChannelParser::ReadMessage(char byte, ReplyParts* parts) {
  if (part_ == Part::kCall || part_ == Part::kCallEnd) {
    if (absl::ascii_isspace(static_cast<unsigned char>(byte))) return;
    const bool begins = part_ == Part::kCall && byte == '{';
    part_ = begins ? Part::kArguments : Part::kContent;
    if (begins) {
      calls_.Begin(function_, parts);
      arguments_ = JsonScanner();
    }
  }
  if (part_ != Part::kArguments) {
    Say(byte, parts);
    return;
  }
  const JsonScanner::State state = arguments_.Next(byte);
  if (state == JsonScanner::State::kBroken) {
    part_ = Part::kContent;
    Say(byte, parts);
    return;
  }
  calls_.AddArguments(byte, parts);
  if (state == JsonScanner::State::kClosed) part_ = Part::kCallEnd;
}

}  // namespace tandem
