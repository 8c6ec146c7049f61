#include "engine/model/model.h"

#include <cstring>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "engine/base/check.h"
#include "engine/base/error_reason.h"
#include "engine/base/hash.h"
#include "engine/base/thread_team.h"
#include "engine/gguf/gguf_writer.h"
#include "engine/model/forward_pass.h"
#include "engine/model/model_state.h"
#include "engine/model/weights.h"
#include "engine/tokenizer/nfc.h"
#include "engine/tokenizer/text_version.h"

namespace tandem {
namespace {

// Keeps every row: [row, vocab_size].
class RowCollector : public RowConsumer {
 public:
  RowCollector(size_t rows, size_t vocab_size) : logits_(rows * vocab_size) {}

  void OnRow(size_t /*item*/, size_t row, absl::Span<float> logits) override {
    std::memcpy(logits_.data() + row * logits.size(), logits.data(),
                logits.size() * sizeof(float));
  }

  std::vector<float> Take() { return std::move(logits_); }

 private:
  std::vector<float> logits_;
};

absl::Status CheckThreads(int threads) {
  constexpr int kThreadsMax = 1024;
  if (threads >= 0 && threads <= kThreadsMax) return absl::OkStatus();
  const std::string range =
      absl::StrCat("must be in [0, ", kThreadsMax, "], is ", threads);
  return InvalidField("threads", range);
}

absl::Status DigestMismatch(absl::string_view what) {
  return MakeError(absl::StatusCode::kFailedPrecondition,
                   {.reason = kReasonDigestMismatch}, what);
}

absl::Status CheckDigests(const GgufFile& file,
                          const std::vector<std::string>& wanted) {
  if (wanted.empty()) return absl::OkStatus();
  if (wanted.size() != file.shards()) {
    return DigestMismatch(
        absl::StrCat(file.name(), ": the model has ", file.shards(),
                     " files, SHA-256 digests given: ", wanted.size()));
  }
  for (size_t i = 0; i < wanted.size(); ++i) {
    TANDEM_ASSIGN_OR_RETURN(const std::string digest, file.ShardSha256(i));
    if (absl::EqualsIgnoreCase(digest, wanted[i])) continue;
    return DigestMismatch(absl::StrCat(file.shard_name(i), ": has SHA-256 ",
                                       digest, ", must have ", wanted[i]));
  }
  return absl::OkStatus();
}

// int8+float of a file without float matrices is int8, in name and fingerprint
// too.
NumericsMode NumericsFor(const GgufFile& file, const ModelOptions& options) {
  const NumericsMode by_file = DefaultNumericsMode(file);
  const NumericsMode mode = options.numerics.value_or(by_file);
  return mode == NumericsMode::kInt8Float && by_file == NumericsMode::kInt8
             ? by_file
             : mode;
}

}  // namespace

Model::Model() = default;
Model::~Model() = default;

absl::StatusOr<std::shared_ptr<const Model>> Model::Load(
    std::unique_ptr<GgufFile> file, const ModelOptions& options) {
  TANDEM_CHECK(file != nullptr);
  absl::StatusOr<std::shared_ptr<const Model>> model = Read(*file, options);
  // What was read of a file that changed meanwhile may be wrong in any way.
  TANDEM_RETURN_IF_ERROR(file->CheckUnchanged());
  return model;
}

absl::StatusOr<std::shared_ptr<const Model>> Model::Read(
    const GgufFile& file, const ModelOptions& options) {
  TANDEM_RETURN_IF_ERROR(CheckThreads(options.threads));
  TANDEM_RETURN_IF_ERROR(CheckDigests(file, options.sha256));
  std::shared_ptr<Model> model(new Model());
  TANDEM_ASSIGN_OR_RETURN(model->config_, ModelConfig::FromGguf(file));
  TANDEM_ASSIGN_OR_RETURN(model->tokenizer_, Tokenizer::FromGguf(file));
  if (model->tokenizer_->vocab_size() != model->config_.vocab_size) {
    return file.MalformedEntry(
        "tokenizer.ggml.tokens",
        absl::StrCat("has ", model->tokenizer_->vocab_size(),
                     " tokens, token_embd.weight has ",
                     model->config_.vocab_size, " rows"));
  }
  model->numerics_ = NumericsFor(file, options);
  ThreadTeam team(options.threads == 0 ? AvailableCpus() : options.threads);
  TANDEM_ASSIGN_OR_RETURN(model->weights_,
                          ModelWeights::Load(file, model->config_,
                                             {.mode = model->numerics_,
                                              .team = &team,
                                              .progress = options.progress}));
  model->tokenizer_image_ = TokenizerImage(file);
  model->fingerprint_ = model->ComputeFingerprint();
  return std::shared_ptr<const Model>(std::move(model));
}

void Model::Step(absl::Span<const StepItem> batch, ModelState* state,
                 RowConsumer* consumer) const {
  ForwardPass(config_, *weights_, state).Run(batch, consumer);
}

absl::StatusOr<std::vector<float>> Model::Forward(
    absl::Span<const TokenId> tokens, Position position, SequenceId sequence,
    ModelState* state) const {
  const StepItem item = {.sequence = sequence,
                         .position = position,
                         .tokens = tokens,
                         .rows = WantedRows::kAll};
  const absl::Span<const StepItem> batch(&item, 1);
  state->CheckBatch(batch);
  RowCollector collector(tokens.size(), config_.vocab_size);
  Step(batch, state, &collector);
  return collector.Take();
}

int64_t Model::weight_bytes() const { return weights_->bytes(); }

int64_t Model::weight_bytes_per_pass() const {
  return weights_->matrix_bytes();
}

int64_t Model::macs_per_token() const { return weights_->matrix_macs(); }

std::string Model::ComputeFingerprint() const {
  Sha256 hash;
  hash.AddString(weights_->hash());
  config_.AddTo(&hash);
  hash.AddString(tokenizer_->vocabulary_fingerprint());
  hash.AddString(tokenizer_image_);
  hash.AddNumber(kTextVersion);
  hash.AddString(UnicodeVersion());
  hash.AddString(NumericsModeName(numerics_));
  hash.AddNumber(kNumericsVersion);
  if (UsesOnednn(numerics_)) hash.AddString(OnednnSignature());
  return hash.HexDigest();
}

}  // namespace tandem
