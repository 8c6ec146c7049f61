#include "services/coordinator/workers/tokenizer_cache.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
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

absl::StatusOr<NamedReplyFormats> ParseReplyFormats(
    const std::vector<std::string>& flags) {
  const std::string known = ReplyFormatNames();
  const std::vector<absl::string_view> names = absl::StrSplit(known, ", ");
  NamedReplyFormats formats;
  for (const std::string& flag : flags) {
    const size_t equal = flag.find('=');
    const std::string model =
        equal == std::string::npos ? "" : flag.substr(0, equal);
    const std::string name =
        equal == std::string::npos ? flag : flag.substr(equal + 1);
    if (std::find(names.begin(), names.end(), name) == names.end()) {
      return absl::InvalidArgumentError(
          absl::StrCat("\"", flag, "\" names none of the formats ", known));
    }
    if (!formats.emplace(model, name).second) {
      return absl::InvalidArgumentError(
          model.empty() ? "all models have one format"
                        : absl::StrCat("model ", model, " has two formats"));
    }
  }
  return formats;
}

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
  auto reply_format = std::make_shared<const ReplyFormat>(
      FormatOf(source.model_id, *tokenizer));
  absl::MutexLock lock(&mutex_);
  std::erase_if(tokenizers_, [](const auto& entry) {
    return entry.second.tokenizer.use_count() == 1;
  });
  return tokenizers_
      .emplace(KeyOf(source), Entry{.tokenizer = std::move(tokenizer),
                                    .reply_format = std::move(reply_format),
                                    .bytes = parsed_bytes})
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

std::shared_ptr<const ReplyFormat> TokenizerCache::FindReplyFormat(
    const TokenizerSource& source) const {
  absl::MutexLock lock(&mutex_);
  const auto found = tokenizers_.find(KeyOf(source));
  return found == tokenizers_.end() ? nullptr : found->second.reply_format;
}

ReplyFormat TokenizerCache::FormatOf(const std::string& model_id,
                                     const Tokenizer& tokenizer) const {
  auto named = reply_formats_.find(model_id);
  if (named == reply_formats_.end()) named = reply_formats_.find("");
  if (named == reply_formats_.end()) return DeriveReplyFormat(tokenizer);
  absl::StatusOr<ReplyFormat> format =
      NamedReplyFormat(named->second, tokenizer);
  if (format.ok()) return *std::move(format);
  ReplyFormat derived = DeriveReplyFormat(tokenizer);
  derived.tool_format.clear();
  derived.tools_error = format.status();
  return derived;
}

int64_t TokenizerCache::bytes() const {
  const absl::MutexLock lock(&mutex_);
  int64_t bytes = 0;
  for (const auto& [key, entry] : tokenizers_) bytes += entry.bytes;
  return bytes;
}

}  // namespace tandem
