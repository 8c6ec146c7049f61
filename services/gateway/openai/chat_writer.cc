// The chunks of /v1/chat/completions.

#include <utility>

#include "services/client/joined_reply.h"
#include "services/gateway/openai/chunk_writer.h"

namespace tandem::gateway {
namespace {

// A delta of each call, which has id and name where the call begins: clients
// put together what has the same index.
OrderedJson CallDeltas(const v1::ReplyDelta& parts) {
  v1::ReplyDelta joined;
  client::JoinReply(parts, &joined);
  OrderedJson deltas = OrderedJson::array();
  for (const v1::ToolCallDelta& call : joined.tool_calls()) {
    OrderedJson delta;
    delta["index"] = call.index();
    if (!call.name().empty()) {
      delta["id"] = call.id();
      delta["type"] = "function";
      delta["function"]["name"] = call.name();
    }
    delta["function"]["arguments"] = call.arguments();
    deltas.push_back(std::move(delta));
  }
  return deltas;
}

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

  OrderedJson ContentOf(const Piece& piece) const override {
    const v1::ReplyDelta& parts = piece.parts;
    OrderedJson delta = OrderedJson::object();
    if (!parts.reasoning().empty()) {
      delta["reasoning_content"] = parts.reasoning();
    }
    if (!parts.content().empty()) delta["content"] = parts.content();
    if (!parts.tool_calls().empty()) delta["tool_calls"] = CallDeltas(parts);
    return delta;
  }
  OrderedJson NoContent() const override { return OrderedJson::object(); }
  OrderedJson LogprobsOf(const Piece& piece) const override {
    return ChatLogprobs(*piece.tokens, piece.texts);
  }
};

}  // namespace

std::unique_ptr<StreamWriter> MakeChatWriter(const ReplyFormat& format) {
  return std::make_unique<ChatWriter>(format);
}

}  // namespace tandem::gateway
