// What the streams of /v1/chat/completions and /v1/completions share: chunks
// with one choice each, the usage at the end, and the fields under "tandem".
// Owned and called as a StreamWriter.

#ifndef TANDEM_SERVICES_GATEWAY_OPENAI_CHUNK_WRITER_H_
#define TANDEM_SERVICES_GATEWAY_OPENAI_CHUNK_WRITER_H_

#include <string>
#include <utility>

#include "services/gateway/openai/stream_writer.h"

namespace tandem::gateway {

class ChunkWriter : public StreamWriter {
 protected:
  // `object` is the type of the chunks, `content` the name of a choice's text;
  // both outlive the writer.
  ChunkWriter(const ReplyFormat& format, const char* object,
              const char* content)
      : StreamWriter(format), object_(object), content_(content) {}

  // What a choice has of an event, and what it has of one that adds nothing.
  virtual OrderedJson ContentOf(const Piece& piece) const = 0;
  virtual OrderedJson NoContent() const = 0;
  // Of a piece with tokens.
  virtual OrderedJson LogprobsOf(const Piece& piece) const = 0;

  OrderedJson Chunk(OrderedJson content, OrderedJson finish_reason) const {
    OrderedJson choice;
    choice["index"] = format().choice;
    choice[content_] = std::move(content);
    choice["logprobs"] = nullptr;
    choice["finish_reason"] = std::move(finish_reason);
    OrderedJson chunk = Head();
    chunk["choices"].push_back(std::move(choice));
    if (format().include_usage) chunk["usage"] = nullptr;
    return chunk;
  }

 private:
  void OnPiece(const Piece& piece) override {
    const bool has_tokens = piece.tokens != nullptr;
    const bool has_logprobs = has_tokens && piece.tokens->logprobs_size() > 0;
    const bool shows_tokens = has_tokens && format().with_tandem;
    OrderedJson content = ContentOf(piece);
    if (content == NoContent() && !has_logprobs && !shows_tokens) return;
    OrderedJson chunk = Chunk(std::move(content), nullptr);
    if (has_logprobs) chunk["choices"][0]["logprobs"] = LogprobsOf(piece);
    if (shows_tokens) chunk["tandem"] = TandemOf(*piece.tokens, piece.texts);
    Emit(chunk);
  }

  void OnEnded(const v1::TurnEnded& ended) override {
    OrderedJson chunk = Chunk(
        NoContent(), FinishReasonOf(ended.finish_reason(), position().calls));
    if (format().with_tandem) chunk["tandem"] = TandemOf(ended);
    Emit(chunk);
  }

  void OnAllEnded(const v1::Usage& of_all) override {
    if (!format().include_usage) return;
    OrderedJson chunk = Head();
    chunk["choices"] = OrderedJson::array();
    chunk["usage"] = UsageObject(of_all);
    Emit(chunk);
  }

  OrderedJson Head() const {
    OrderedJson chunk;
    chunk["id"] = format().id;
    chunk["object"] = object_;
    chunk["created"] = format().created;
    chunk["model"] = started().model_id();
    chunk["system_fingerprint"] = started().fingerprint();
    return chunk;
  }

  const char* const object_;
  const char* const content_;
};

}  // namespace tandem::gateway

#endif  // TANDEM_SERVICES_GATEWAY_OPENAI_CHUNK_WRITER_H_
