#include "engine/reply/reply_splitter.h"

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "engine/reply/channel_parser.h"
#include "engine/reply/mark_parser.h"
#include "engine/reply/mark_pattern.h"

namespace tandem {
namespace {

std::unique_ptr<ReplyParser> MakeParser(const ReplyFormat& format,
                                        ReplySplitter::Options options) {
  if (format.has_channels) {
    return std::make_unique<ChannelParser>(
        format, ChannelParser::Options{
                    .has_tools = options.has_tools,
                    .starts_in_reasoning = options.starts_in_reasoning,
                    .call_id_seed = std::move(options.call_id_seed)});
  }
  return std::make_unique<MarkParser>(
      format,
      MarkParser::Options{.has_tools = options.has_tools,
                          .starts_in_reasoning = options.starts_in_reasoning,
                          .call_id_seed = std::move(options.call_id_seed)});
}

}  // namespace

ReplySplitter::ReplySplitter(std::shared_ptr<const Tokenizer> tokenizer,
                             const ReplyFormat& format, Options options)
    : tokenizer_(std::move(tokenizer)),
      decoder_(tokenizer_.get(), {}),
      parser_(MakeParser(format, std::move(options))) {}

ReplyParts ReplySplitter::Add(absl::Span<const TokenId> ids,
                              size_t text_bytes) {
  ReplyParts parts;
  if (finished_) return parts;
  for (const TokenId id : ids) {
    if (tokenizer_->TokenText(id, /*skip_special=*/true).empty()) {
      controls_.push_back({.offset = decoder_.decided().size(), .id = id});
    }
    decoder_.Push(id);
  }
  TakeText(text_bytes, &parts);
  return parts;
}

ReplyParts ReplySplitter::Finish(size_t text_bytes) {
  ReplyParts parts;
  if (std::exchange(finished_, true)) return parts;
  decoder_.Finish();
  TakeText(text_bytes, &parts);
  parser_->Finish(&parts);
  return parts;
}

void ReplySplitter::TakeText(size_t text_bytes, ReplyParts* parts) {
  const std::string& text = decoder_.decided();
  const size_t end = std::clamp(text_bytes, taken_bytes_, text.size());
  std::vector<ReplySymbol> symbols;
  symbols.reserve(end - taken_bytes_ + controls_.size());
  const auto take_to = [&](size_t offset) {
    for (; taken_bytes_ < offset; ++taken_bytes_) {
      symbols.push_back(static_cast<uint8_t>(text[taken_bytes_]));
    }
  };
  while (!controls_.empty() && controls_.front().offset <= end) {
    take_to(controls_.front().offset);
    symbols.push_back(ControlSymbol(controls_.front().id));
    controls_.pop_front();
  }
  take_to(end);
  parser_->Read(symbols, parts);
}

}  // namespace tandem
