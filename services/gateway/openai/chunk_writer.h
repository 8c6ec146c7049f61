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

  // What a choice has of `text`, and what it has at the end.
  virtual OrderedJson ContentOf(const std::string& text) const = 0;
  virtual OrderedJson LastContent() const = 0;
  virtual OrderedJson LogprobsOf(const std::string& text,
                                 const v1::TokensGenerated& tokens,
                                 const TokenTexts& texts) const = 0;

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
  void OnText(const std::string& text, const v1::TokensGenerated* tokens,
              const TokenTexts& texts) override {
    const bool has_logprobs = tokens != nullptr && tokens->logprobs_size() > 0;
    if (text.empty() && !has_logprobs && !format().with_tandem) return;
    OrderedJson chunk = Chunk(ContentOf(text), nullptr);
    if (has_logprobs) {
      chunk["choices"][0]["logprobs"] = LogprobsOf(text, *tokens, texts);
    }
    if (format().with_tandem && tokens != nullptr) {
      chunk["tandem"] = TandemOf(*tokens, texts);
    }
    Emit(chunk);
  }

  void OnEnded(const v1::TurnEnded& ended) override {
    OrderedJson chunk =
        Chunk(LastContent(), FinishReasonOf(ended.finish_reason()));
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
