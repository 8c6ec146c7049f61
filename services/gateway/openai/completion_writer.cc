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

  OrderedJson ContentOf(const std::string& text) const override { return text; }
  OrderedJson LastContent() const override { return ""; }
  OrderedJson LogprobsOf(const std::string& text,
                         const v1::TokensGenerated& tokens,
                         const TokenTexts& texts) const override {
    return CompletionLogprobs(
        tokens, texts,
        position().text_bytes - static_cast<int64_t>(text.size()));
  }
};

}  // namespace

std::unique_ptr<StreamWriter> MakeCompletionWriter(const ReplyFormat& format) {
  return std::make_unique<CompletionWriter>(format);
}

}  // namespace tandem::gateway
