#include "services/worker/tokenizer_stream.h"

namespace tandem {

TokenizerStream::TokenizerStream(absl::string_view image) : rest_(image) {
  WriteNext();
}

void TokenizerStream::OnWriteDone(bool ok) {
  if (ok) return WriteNext();
  Finish(grpc::Status(grpc::StatusCode::CANCELLED, "the peer is gone"));
}

void TokenizerStream::OnDone() { delete this; }

void TokenizerStream::WriteNext() {
  if (rest_.empty()) return Finish(grpc::Status::OK);
  const absl::string_view chunk = rest_.substr(0, kTokenizerChunkBytes);
  rest_.remove_prefix(chunk.size());
  response_.set_chunk(chunk.data(), chunk.size());
  StartWrite(&response_);
}

}  // namespace tandem
