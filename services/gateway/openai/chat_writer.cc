// The chunks of /v1/chat/completions.

#include <utility>

#include "services/gateway/openai/stream_writer.h"

namespace tandem::gateway {
namespace {

class ChatWriter final : public StreamWriter {
 public:
  explicit ChatWriter(const ReplyFormat& format) : StreamWriter(format) {}

 private:
  void OnStarted() override {
    OrderedJson delta;
    delta["role"] = "assistant";
    delta["content"] = "";
    OrderedJson chunk = Chunk(std::move(delta), nullptr);
    if (format().with_tandem) chunk["tandem"] = TandemOf(started());
    Emit(chunk);
  }

  void OnText(const std::string& text, const v1::TokensGenerated* tokens,
              const TokenTexts& texts) override {
    const bool has_logprobs = tokens != nullptr && tokens->logprobs_size() > 0;
    if (text.empty() && !has_logprobs && !format().with_tandem) return;
    OrderedJson delta;
    delta["content"] = text;
    OrderedJson chunk = Chunk(std::move(delta), nullptr);
    if (has_logprobs) {
      chunk["choices"][0]["logprobs"] = ChatLogprobs(*tokens, texts);
    }
    if (format().with_tandem && tokens != nullptr) {
      chunk["tandem"] = TandemOf(*tokens, texts);
    }
    Emit(chunk);
  }

  void OnEnded(const v1::TurnEnded& ended) override {
    OrderedJson chunk =
        Chunk(OrderedJson::object(), FinishReasonOf(ended.finish_reason()));
    if (format().with_tandem) chunk["tandem"] = TandemOf(ended);
    Emit(chunk);
    if (!format().include_usage) return;
    chunk = Head();
    chunk["choices"] = OrderedJson::array();
    chunk["usage"] = UsageObject(ended.usage());
    Emit(chunk);
  }

  OrderedJson Head() const {
    OrderedJson chunk;
    chunk["id"] = format().id;
    chunk["object"] = "chat.completion.chunk";
    chunk["created"] = format().created;
    chunk["model"] = started().model_id();
    chunk["system_fingerprint"] = started().fingerprint();
    return chunk;
  }

  OrderedJson Chunk(OrderedJson delta, OrderedJson finish_reason) const {
    OrderedJson choice;
    choice["index"] = 0;
    choice["delta"] = std::move(delta);
    choice["logprobs"] = nullptr;
    choice["finish_reason"] = std::move(finish_reason);
    OrderedJson chunk = Head();
    chunk["choices"].push_back(std::move(choice));
    if (format().include_usage) chunk["usage"] = nullptr;
    return chunk;
  }
};

}  // namespace

std::unique_ptr<StreamWriter> MakeChatWriter(const ReplyFormat& format) {
  return std::make_unique<ChatWriter>(format);
}

}  // namespace tandem::gateway
