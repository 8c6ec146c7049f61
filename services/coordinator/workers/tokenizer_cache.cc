#include "services/coordinator/workers/tokenizer_cache.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/error_reason.h"
#include "engine/gguf/gguf_file.h"
#include "services/common/status_conversion.h"

namespace tandem {
namespace {

// A tokenizer in memory, beside the file that it came from.
constexpr int64_t kParsedPart = 6;

absl::StatusOr<std::string> Download(const TokenizerSource& source,
                                     grpc::ClientContext* context) {
  v1::GetTokenizerRequest request;
  request.set_model_id(source.model_id);
  const auto reader = source.stub->GetTokenizer(context, request);
  std::string file;
  v1::GetTokenizerResponse response;
  while (reader->Read(&response)) {
    if (file.size() + response.chunk().size() > kTokenizerBytesMax) {
      context->TryCancel();
      while (reader->Read(&response)) {
      }
      (void)reader->Finish();
      return absl::ResourceExhaustedError(
          absl::StrCat("the tokenizer of worker ", source.address,
                       " is larger than ", kTokenizerBytesMax, " bytes"));
    }
    file.append(response.chunk());
  }
  TANDEM_RETURN_IF_ERROR(FromGrpcStatus(reader->Finish()));
  return file;
}

std::string KeyOf(const TokenizerSource& source) {
  return absl::StrCat(source.vocabulary_fingerprint, " ", source.fingerprint);
}

}  // namespace

absl::StatusOr<std::shared_ptr<const Tokenizer>> TokenizerCache::Fetch(
    const TokenizerSource& source, grpc::ClientContext* context) {
  if (std::shared_ptr<const Tokenizer> found = Find(source)) return found;
  TANDEM_ASSIGN_OR_RETURN(std::string bytes, Download(source, context));
  const int64_t parsed_bytes = static_cast<int64_t>(bytes.size()) * kParsedPart;
  TANDEM_ASSIGN_OR_RETURN(
      const std::unique_ptr<GgufFile> file,
      GgufFile::FromBytes(std::move(bytes),
                          absl::StrCat("tokenizer of ", source.address)));
  TANDEM_ASSIGN_OR_RETURN(std::unique_ptr<Tokenizer> parsed,
                          Tokenizer::FromGguf(*file));
  std::shared_ptr<const Tokenizer> tokenizer = std::move(parsed);
  const std::string& fingerprint = tokenizer->vocabulary_fingerprint();
  if (fingerprint != source.vocabulary_fingerprint) {
    return MakeError(absl::StatusCode::kFailedPrecondition,
                     {.reason = kReasonVocabularyMismatch},
                     absl::StrCat("worker ", source.address,
                                  " reports vocabulary fingerprint ",
                                  source.vocabulary_fingerprint,
                                  " but its tokenizer has ", fingerprint));
  }
  absl::MutexLock lock(&mutex_);
  std::erase_if(tokenizers_, [](const auto& entry) {
    return entry.second.tokenizer.use_count() == 1;
  });
  return tokenizers_
      .emplace(KeyOf(source),
               Entry{.tokenizer = std::move(tokenizer), .bytes = parsed_bytes})
      .first->second.tokenizer;
}

absl::StatusOr<std::shared_ptr<const Tokenizer>>
TokenizerCache::FetchVocabulary(const TokenizerSource& source,
                                grpc::ClientContext* context) {
  {
    absl::MutexLock lock(&mutex_);
    // Keys begin with the vocabulary.
    const auto found = tokenizers_.lower_bound(source.vocabulary_fingerprint);
    if (found != tokenizers_.end() &&
        found->second.tokenizer->vocabulary_fingerprint() ==
            source.vocabulary_fingerprint) {
      return found->second.tokenizer;
    }
  }
  return Fetch(source, context);
}

absl::Status TokenizerCache::CheckPair(const Tokenizer& draft,
                                       const Tokenizer& target) {
  const std::pair<std::string, std::string> key(
      draft.vocabulary_fingerprint(), target.vocabulary_fingerprint());
  {
    absl::MutexLock lock(&mutex_);
    const auto found = pairs_.find(key);
    if (found != pairs_.end()) return found->second;
  }
  absl::Status status = CheckSameVocabulary(draft, target);
  absl::MutexLock lock(&mutex_);
  if (pairs_.size() >= kPairsMax) pairs_.clear();
  return pairs_.emplace(key, std::move(status)).first->second;
}

std::shared_ptr<const Tokenizer> TokenizerCache::Find(
    const TokenizerSource& source) const {
  absl::MutexLock lock(&mutex_);
  const auto found = tokenizers_.find(KeyOf(source));
  return found == tokenizers_.end() ? nullptr : found->second.tokenizer;
}

int64_t TokenizerCache::bytes() const {
  const absl::MutexLock lock(&mutex_);
  int64_t bytes = 0;
  for (const auto& [key, entry] : tokenizers_) bytes += entry.bytes;
  return bytes;
}

}  // namespace tandem
