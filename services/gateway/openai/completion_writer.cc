// The chunks of /v1/completions.

#include <string>
#include <utility>

#include "services/gateway/openai/chunk_writer.h"
#include "services/gateway/openai/echo.h"

namespace tandem::gateway {
namespace {

class CompletionWriter final : public ChunkWriter {
 public:
  explicit CompletionWriter(const ReplyFormat& format)
      : ChunkWriter(format, "text_completion", "text") {}

  StreamPosition Resume(const StreamPosition& from) override {
    if (!format().echo.has_value()) return StreamWriter::Resume(from);
    const int64_t bytes = static_cast<int64_t>(format().echo->text.size());
    has_prompt_ = from.text_bytes >= bytes;
    if (!has_prompt_) {
      return StreamWriter::Resume(
          {.session_id = from.session_id, .turn = from.turn});
    }
    StreamPosition in_turn = StreamWriter::Resume(from);
    in_turn.text_bytes -= bytes;
    return in_turn;
  }

  bool WantsPrompt() const override {
    return !has_prompt_ && format().echo->logprobs.has_value();
  }

 private:
  void OnStarted() override {
    if (has_prompt_) {
      if (format().with_tandem) EmitFirst("", nullptr);
    } else if (!WantsPrompt()) {
      EmitPrompt(nullptr);
    }
  }

  void OnPrompt(const v1::PromptScored& prompt,
                const TokenTexts& texts) override {
    EmitPrompt(EchoLogprobs(prompt, texts, format().echo->text));
  }

  void EmitPrompt(OrderedJson logprobs) {
    has_prompt_ = true;
    AddText(format().echo->text);
    EmitFirst(format().echo->text, std::move(logprobs));
  }

  void EmitFirst(const std::string& text, OrderedJson logprobs) {
    OrderedJson chunk = Chunk(text, nullptr);
    chunk["choices"][0]["logprobs"] = std::move(logprobs);
    if (format().with_tandem) chunk["tandem"] = TandemOf(started());
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

  // That the client has, where it has asked for one.
  bool has_prompt_ = !format().echo.has_value();
};

}  // namespace

std::unique_ptr<StreamWriter> MakeCompletionWriter(const ReplyFormat& format) {
  return std::make_unique<CompletionWriter>(format);
}

}  // namespace tandem::gateway
