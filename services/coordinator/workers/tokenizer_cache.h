// The tokenizers of the models that workers have, each fetched and parsed once,
// and how these models write their replies.
// Owned by the server; any thread may call. Fetch blocks: never on an event
// loop.

#ifndef TANDEM_SERVICES_COORDINATOR_WORKERS_TOKENIZER_CACHE_H_
#define TANDEM_SERVICES_COORDINATOR_WORKERS_TOKENIZER_CACHE_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "engine/base/status.h"
#include "engine/reply/reply_format.h"
#include "engine/tokenizer/tokenizer.h"
#include "tandem/v1/worker.grpc.pb.h"

namespace tandem {

// The file that a worker sends is refused beyond this (the largest known
// vocabularies take about 16 MiB).
inline constexpr size_t kTokenizerBytesMax = 256u << 20;

// Where to fetch a tokenizer.
struct TokenizerSource {
  v1::WorkerService::StubInterface* stub = nullptr;
  std::string address;  // for messages
  std::string model_id;
  // As the worker reports them. Models with one vocabulary may cut texts and
  // format messages in different ways.
  std::string fingerprint;
  std::string vocabulary_fingerprint;
};

// Names of reply formats by model id; that of "" is for all others. A model
// that has none here has the format that its template shows.
using NamedReplyFormats = std::map<std::string, std::string>;

// From flags "NAME" and "MODEL=NAME". INVALID_ARGUMENT for a name that no
// format has, with those that there are, and for a model that stands twice.
absl::StatusOr<NamedReplyFormats> ParseReplyFormats(
    const std::vector<std::string>& flags);

class TokenizerCache {
 public:
  // Pairs of vocabularies that are remembered; with one more all are forgotten.
  static constexpr size_t kPairsMax = 4096;

  explicit TokenizerCache(NamedReplyFormats reply_formats = {})
      : reply_formats_(std::move(reply_formats)) {}

  // The tokenizer with the source's fingerprints, from the cache or
  // from the worker. FAILED_PRECONDITION with VOCABULARY_MISMATCH where the
  // worker's file has another fingerprint than the worker reports. `context`:
  // the call's, so that another thread can cancel it.
  absl::StatusOr<std::shared_ptr<const Tokenizer>> Fetch(
      const TokenizerSource& source, grpc::ClientContext* context);

  // Any tokenizer of the source's vocabulary: enough for a drafter, since no
  // text is encoded for it.
  absl::StatusOr<std::shared_ptr<const Tokenizer>> FetchVocabulary(
      const TokenizerSource& source, grpc::ClientContext* context);

  // Null where none was fetched.
  std::shared_ptr<const Tokenizer> Find(const TokenizerSource& source) const;

  // How the model writes its replies; null where its tokenizer was not fetched.
  std::shared_ptr<const ReplyFormat> FindReplyFormat(
      const TokenizerSource& source) const;

  // About what the tokenizers take of memory.
  int64_t bytes() const;

  // CheckSameVocabulary, looked at once for each pair of fingerprints (some
  // milliseconds where vocabularies are large).
  absl::Status CheckPair(const Tokenizer& draft, const Tokenizer& target);

 private:
  struct Entry {
    std::shared_ptr<const Tokenizer> tokenizer;
    std::shared_ptr<const ReplyFormat> reply_format;
    int64_t bytes = 0;
  };

  // The one that is named for the model, or that its template shows.
  ReplyFormat FormatOf(const std::string& model_id,
                       const Tokenizer& tokenizer) const;

  const NamedReplyFormats reply_formats_;

  mutable absl::Mutex mutex_;
  // By both fingerprints. A tokenizer that nothing uses any more is dropped
  // when another is added.
  std::map<std::string, Entry> tokenizers_ ABSL_GUARDED_BY(mutex_);
  // By the fingerprints of draft and target.
  std::map<std::pair<std::string, std::string>, absl::Status> pairs_
      ABSL_GUARDED_BY(mutex_);
};

}  // namespace tandem

#endif  // TANDEM_SERVICES_COORDINATOR_WORKERS_TOKENIZER_CACHE_H_
