// The chunks of /v1/chat/completions.

#include <utility>

#include "services/gateway/openai/chunk_writer.h"

namespace tandem::gateway {
namespace {

class ChatWriter final : public ChunkWriter {
 public:
  explicit ChatWriter(const ReplyFormat& format)
      : ChunkWriter(format, "chat.completion.chunk", "delta") {}

 private:
  void OnStarted() override {
    OrderedJson delta;
    delta["role"] = "assistant";
    delta["content"] = "";
    OrderedJson chunk = Chunk(std::move(delta), nullptr);
    if (format().with_tandem) chunk["tandem"] = TandemOf(started());
    Emit(chunk);
  }

  OrderedJson ContentOf(const std::string& text) const override {
    OrderedJson delta;
    delta["content"] = text;
    return delta;
  }
  OrderedJson LastContent() const override { return OrderedJson::object(); }
  OrderedJson LogprobsOf(const std::string& /*text*/,
                         const v1::TokensGenerated& tokens,
                         const TokenTexts& texts) const override {
    return ChatLogprobs(tokens, texts);
  }
};

}  // namespace

std::unique_ptr<StreamWriter> MakeChatWriter(const ReplyFormat& format) {
  return std::make_unique<ChatWriter>(format);
}

}  // namespace tandem::gateway
