#include "services/worker/server/tokenizer_stream.h"

#include <utility>

namespace tandem {

TokenizerStream::TokenizerStream(absl::string_view image,
                                 std::function<void()> on_gone)
    : on_gone_(std::move(on_gone)), rest_(image) {
  WriteNext();
}

void TokenizerStream::OnWriteDone(bool ok) {
  if (ok) return WriteNext();
  Finish(grpc::Status(grpc::StatusCode::CANCELLED, "the peer is gone"));
}

void TokenizerStream::OnDone() {
  const std::function<void()> on_gone = on_gone_;
  delete this;
  on_gone();
}

void TokenizerStream::WriteNext() {
  if (rest_.empty()) return Finish(grpc::Status::OK);
  const absl::string_view chunk = rest_.substr(0, kTokenizerChunkBytes);
  rest_.remove_prefix(chunk.size());
  response_.set_chunk(chunk.data(), chunk.size());
  StartWrite(&response_);
}

}  // namespace tandem
