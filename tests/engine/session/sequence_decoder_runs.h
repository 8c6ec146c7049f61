// Runs of a SequenceDecoder over a fake engine, and what the fake model itself
// gives.

#ifndef TANDEM_TESTS_ENGINE_SESSION_SEQUENCE_DECODER_RUNS_H_
#define TANDEM_TESTS_ENGINE_SESSION_SEQUENCE_DECODER_RUNS_H_

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/types/span.h"
#include "engine/base/error_reason.h"
#include "engine/sampling/logits_processor.h"
#include "engine/session/sequence_decoder.h"
#include "tests/engine/session/fake_engine.h"

namespace tandem {

inline SequenceDecoderOptions MakeOptions(std::vector<TokenId> tokens = {
                                              1, 3, 4, 5}) {
  SequenceDecoderOptions options;
  options.generated_from = static_cast<Position>(tokens.size());
  options.tokens = std::move(tokens);
  options.tokens_max = 100;
  options.options.seed = 9;
  options.options.ignore_eos = true;
  return options;
}

inline std::unique_ptr<SequenceDecoder> MustOpen(
    Engine* engine, SequenceDecoderOptions options) {
  absl::StatusOr<std::unique_ptr<SequenceDecoder>> decoder =
      SequenceDecoder::Open(engine, std::move(options));
  EXPECT_TRUE(decoder.ok()) << decoder.status();
  return *std::move(decoder);
}

inline std::string Reason(const absl::Status& status) {
  const std::optional<ErrorDetail> detail = GetErrorDetail(status);
  return detail.has_value() ? detail->reason : "";
}

inline std::vector<TokenId> Ids(const DecodedTokens& tokens) {
  std::vector<TokenId> ids;
  for (const SampledToken& token : tokens) ids.push_back(token.id);
  return ids;
}

inline absl::Status BeginPropose(SequenceDecoder* decoder, Position position,
                                 absl::Span<const TokenId> tokens,
                                 int draft_length) {
  return decoder->Begin(ProposeAction{.position = position,
                                      .tokens = {tokens.begin(), tokens.end()},
                                      .draft_length = draft_length});
}

inline absl::Status BeginVerify(SequenceDecoder* decoder, Position position,
                                absl::Span<const TokenId> tokens,
                                absl::Span<const TokenId> draft) {
  return decoder->Begin(VerifyAction{.position = position,
                                     .tokens = {tokens.begin(), tokens.end()},
                                     .draft = {draft.begin(), draft.end()}});
}

// Item i of the Step is decoders[i]'s.
struct Rows : public RowConsumer {
  explicit Rows(std::vector<SequenceDecoder*> list = {})
      : decoders(std::move(list)) {}
  void OnRow(size_t item, size_t row, absl::Span<float> logits) override {
    decoders.at(item)->OnRow(row, logits);
  }
  std::vector<SequenceDecoder*> decoders;
};

inline absl::Status RunItem(Engine* engine, SequenceDecoder* decoder,
                            int rows_max) {
  const StepItem item = decoder->NextItem(rows_max);
  EXPECT_GE(item.tokens.size(), 1u);
  EXPECT_LE(item.tokens.size(), static_cast<size_t>(rows_max));
  Rows rows({decoder});
  const absl::Status status = engine->Step({&item, 1}, &rows);
  decoder->OnStepDone(status);
  return status;
}

inline absl::StatusOr<DecodedTokens> Finish(Engine* engine,
                                            SequenceDecoder* decoder,
                                            int rows_max = 64) {
  while (true) {
    EXPECT_TRUE(decoder->has_work());
    EXPECT_TRUE(decoder->request_active());
    RunItem(engine, decoder, rows_max).IgnoreError();
    if (auto result = decoder->TakeResult()) {
      EXPECT_FALSE(decoder->request_active());
      return *result;
    }
  }
}

// The scores that the options ask for, one row at a time, without a decoder.
inline std::vector<ScoredToken> PlainScores(
    const SequenceDecoderOptions& options) {
  std::vector<ScoredToken> scores;
  const absl::Span<const TokenId> tokens = options.tokens;
  for (size_t i = options.score_from; i < tokens.size(); ++i) {
    scores.push_back(*ScoreToken(FakeLogits({}, tokens.first(i)), tokens[i],
                                 options.score_alternatives));
  }
  return scores;
}

// The model's own tokens after `tokens`, one at a time.
inline std::vector<SampledToken> Plain(const FakeModel& model,
                                       const SequenceDecoderOptions& options,
                                       std::vector<TokenId> tokens,
                                       size_t count) {
  std::vector<SampledToken> result;
  while (result.size() < count) {
    LogitsProcessor processor(
        options.options, kFakeVocabSize, tokens, options.generated_from,
        ConstraintOf(FakeTokenizer(), options.options, options.grammar));
    std::vector<float> logits = FakeLogits(model, tokens);
    result.push_back(*processor.Sample(absl::MakeSpan(logits)));
    tokens.push_back(result.back().id);
  }
  return result;
}

// What verifying `draft` after `tokens` must give.
inline std::vector<SampledToken> PlainVerify(
    const FakeModel& model, const SequenceDecoderOptions& options,
    const std::vector<TokenId>& tokens, const std::vector<TokenId>& draft) {
  std::vector<SampledToken> chosen =
      Plain(model, options, tokens, draft.size() + 1);
  for (size_t i = 0; i < draft.size(); ++i) {
    if (chosen[i].id != draft[i]) chosen.resize(i + 1);
    if (chosen.size() == i + 1) break;
  }
  return chosen;
}

}  // namespace tandem

#endif  // TANDEM_TESTS_ENGINE_SESSION_SEQUENCE_DECODER_RUNS_H_
