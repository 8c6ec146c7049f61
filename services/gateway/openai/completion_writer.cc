// The chunks of /v1/completions.

#include "services/gateway/openai/chunk_writer.h"

namespace tandem::gateway {
namespace {

class CompletionWriter final : public ChunkWriter {
 public:
  explicit CompletionWriter(const ReplyFormat& format)
      : ChunkWriter(format, "text_completion", "text") {}

 private:
  void OnStarted() override {
    if (!format().with_tandem) return;
    OrderedJson chunk = Chunk("", nullptr);
    chunk["tandem"] = TandemOf(started());
    Emit(chunk);
  }

  OrderedJson ContentOf(const Piece& piece) const override {
    return piece.text;
  }
  OrderedJson NoContent() const override { return ""; }
  OrderedJson LogprobsOf(const Piece& piece) const override {
    return CompletionLogprobs(
        *piece.tokens, piece.texts,
        position().text_bytes - static_cast<int64_t>(piece.text.size()));
  }
};

}  // namespace

std::unique_ptr<StreamWriter> MakeCompletionWriter(const ReplyFormat& format) {
  return std::make_unique<CompletionWriter>(format);
}

}  // namespace tandem::gateway
