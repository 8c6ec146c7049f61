// The tokenizers of the models that workers have, each fetched and parsed once.
// Owned by the server; any thread may call. Fetch blocks: never on an event
// loop.

#ifndef TANDEM_SERVICES_COORDINATOR_WORKERS_TOKENIZER_CACHE_H_
#define TANDEM_SERVICES_COORDINATOR_WORKERS_TOKENIZER_CACHE_H_

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "engine/base/status.h"
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
  // That the worker told. Models with one vocabulary may cut texts and
  // format messages in different ways.
  std::string fingerprint;
  std::string vocabulary_fingerprint;
};

class TokenizerCache {
 public:
  // Pairs of vocabularies that are remembered; all are forgotten then.
  static constexpr size_t kPairsMax = 4096;

  // The tokenizer with the source's fingerprints, from the cache or
  // from the worker. FAILED_PRECONDITION with VOCABULARY_MISMATCH where the
  // worker's file has another fingerprint than the worker told. `context`: the
  // call's, so that another thread can cancel it.
  absl::StatusOr<std::shared_ptr<const Tokenizer>> Fetch(
      const TokenizerSource& source, grpc::ClientContext* context);

  // Any tokenizer of the source's vocabulary: for a drafter, whose texts nobody
  // encodes.
  absl::StatusOr<std::shared_ptr<const Tokenizer>> FetchVocabulary(
      const TokenizerSource& source, grpc::ClientContext* context);

  // Null where none was fetched.
  std::shared_ptr<const Tokenizer> Find(const TokenizerSource& source) const;

  // CheckSameVocabulary, looked at once for each pair of fingerprints (some
  // milliseconds where vocabularies are large).
  absl::Status CheckPair(const Tokenizer& draft, const Tokenizer& target);

 private:
  mutable std::mutex mutex_;
  // By both fingerprints; guarded by mutex_. Grows by one for each model that a
  // worker of the lists has had; one that nobody uses goes when another
  // comes.
  std::map<std::string, std::shared_ptr<const Tokenizer>> tokenizers_;
  // By the fingerprints of draft and target; guarded by mutex_.
  std::map<std::pair<std::string, std::string>, absl::Status> pairs_;
};

}  // namespace tandem

#endif  // TANDEM_SERVICES_COORDINATOR_WORKERS_TOKENIZER_CACHE_H_
