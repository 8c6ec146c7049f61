#include "tests/services/worker/decoder_alone.h"

#include <optional>
#include <utility>

#include "engine/base/check.h"

namespace tandem {
namespace {

class Rows : public RowConsumer {
 public:
  explicit Rows(SequenceDecoder* decoder) : decoder_(decoder) {}
  void OnRow(size_t, size_t row, absl::Span<float> logits) override {
    decoder_->OnRow(row, logits);
  }

 private:
  SequenceDecoder* decoder_;
};

}  // namespace

DecoderAlone::DecoderAlone(std::unique_ptr<Engine> engine,
                           SequenceDecoderOptions options)
    : engine_(std::move(engine)) {
  auto decoder = SequenceDecoder::Open(engine_.get(), std::move(options));
  TANDEM_CHECK(decoder.ok());
  decoder_ = std::move(decoder).value();
}

std::vector<SampledToken> DecoderAlone::Propose(
    Position position, absl::Span<const TokenId> tokens, int draft_length) {
  const ProposeAction propose = {.position = position,
                                 .tokens = {tokens.begin(), tokens.end()},
                                 .draft_length = draft_length};
  TANDEM_CHECK(decoder_->Begin(propose).ok());
  return Finish();
}

std::vector<SampledToken> DecoderAlone::Verify(
    Position position, absl::Span<const TokenId> tokens,
    absl::Span<const TokenId> draft) {
  const VerifyAction verify = {.position = position,
                               .tokens = {tokens.begin(), tokens.end()},
                               .draft = {draft.begin(), draft.end()}};
  TANDEM_CHECK(decoder_->Begin(verify).ok());
  return Finish();
}

std::vector<SampledToken> DecoderAlone::Finish() {
  Rows rows(decoder_.get());
  while (true) {
    if (std::optional<absl::StatusOr<DecodedTokens>> result =
            decoder_->TakeResult()) {
      TANDEM_CHECK(result->ok());
      return **result;
    }
    const StepItem item = decoder_->NextItem(engine_->info().rows_max);
    decoder_->OnStepDone(engine_->Step({&item, 1}, &rows));
  }
}

}  // namespace tandem
