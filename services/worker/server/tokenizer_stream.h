// One GetTokenizer stream: the image in pieces of at most 1 MiB, one in flight.
// Deletes itself when the call is over.

#ifndef TANDEM_SERVICES_WORKER_SERVER_TOKENIZER_STREAM_H_
#define TANDEM_SERVICES_WORKER_SERVER_TOKENIZER_STREAM_H_

#include <grpcpp/support/server_callback.h>

#include <cstddef>
#include <functional>

#include "absl/strings/string_view.h"
#include "tandem/v1/worker.pb.h"

namespace tandem {

inline constexpr size_t kTokenizerChunkBytes = 1 << 20;

class TokenizerStream final
    : public grpc::ServerWriteReactor<v1::GetTokenizerResponse> {
 public:
  // `image` lives until `on_gone`, the last call of the stream, after which it
  // is gone.
  TokenizerStream(absl::string_view image, std::function<void()> on_gone);

  void OnWriteDone(bool ok) override;
  void OnDone() override;

 private:
  ~TokenizerStream() override = default;
  void WriteNext();

  const std::function<void()> on_gone_;
  absl::string_view rest_;
  v1::GetTokenizerResponse response_;
};

}  // namespace tandem

#endif  // TANDEM_SERVICES_WORKER_SERVER_TOKENIZER_STREAM_H_
