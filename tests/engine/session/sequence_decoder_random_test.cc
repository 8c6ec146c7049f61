// Random interleavings of everything that a SequenceDecoder may be asked.

#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "engine/session/sequence_decoder.h"
#include "tests/engine/session/sequence_decoder_runs.h"

namespace tandem {
namespace {

// A request as a client that knows `known` tokens of the sequence may send it.
struct RandomRequest {
  Position position;
  std::vector<TokenId> tokens;
};

RandomRequest MakeRequest(std::mt19937_64* random, Position generated_from,
                          const std::vector<TokenId>& session) {
  RandomRequest request;
  const Position lowest = generated_from - 1;
  const Position size = static_cast<Position>(session.size());
  request.position = lowest + (*random)() % (size - lowest);
  request.tokens.assign(session.begin() + request.position, session.end());
  // A rollback, other tokens than before, or more of them.
  if ((*random)() % 4 == 0 && request.tokens.size() > 1) {
    request.tokens.resize(1 + (*random)() % request.tokens.size());
  }
  for (size_t i = request.position < generated_from ? 1 : 0;
       i < request.tokens.size(); ++i) {
    if ((*random)() % 8 == 0) request.tokens[i] = 3 + (*random)() % 10;
  }
  if ((*random)() % 3 == 0) request.tokens.push_back(3 + (*random)() % 10);
  return request;
}

// Random interleavings: prefill in chunks, requests while it is under way,
// rollbacks, other continuations, rejected requests, failures.
TEST(SequenceDecoderTest, EqualsTheModelWhateverCameBefore) {
  std::mt19937_64 random(1);
  for (int round = 0; round < 400; ++round) {
    const FakeEngineOptions engine_options = {.model = {.seed = random()}};
    FakeEngine engine(engine_options);
    std::vector<TokenId> opening(1 + random() % 30);
    for (TokenId& id : opening) id = 3 + random() % 10;
    SequenceDecoderOptions options = MakeOptions(opening);
    options.generated_from = 1 + random() % opening.size();
    options.tokens_max = 90;
    if (random() % 2 == 0) options.options.frequency_penalty = 0.5f;
    const auto decoder = MustOpen(&engine, options);
    std::vector<TokenId> session = opening;
    for (int i = 0; i < 12 && session.size() < 60; ++i) {
      for (size_t n = random() % 4; n > 0 && decoder->has_work(); --n) {
        EXPECT_TRUE(RunItem(&engine, decoder.get(), 1 + random() % 8).ok());
      }
      const RandomRequest request =
          MakeRequest(&random, options.generated_from, session);
      session.resize(request.position);
      session.insert(session.end(), request.tokens.begin(),
                     request.tokens.end());
      if (random() % 4 == 0) {
        EXPECT_FALSE(BeginVerify(decoder.get(), -1, {{3}}, {{3}}).ok());
      }
      const int rows_max = 1 + random() % 12;
      const bool fails = random() % 5 == 0;
      const size_t count = 1 + random() % 6;
      std::vector<SampledToken> expected =
          Plain(engine_options.model, options, session, count);
      std::vector<TokenId> draft = Ids(expected);
      if (random() % 2 == 0) {
        ASSERT_TRUE(BeginPropose(decoder.get(), request.position,
                                 request.tokens, static_cast<int>(count))
                        .ok());
      } else {
        if (random() % 2 == 0) draft[random() % count] = 3 + random() % 10;
        ASSERT_TRUE(
            BeginVerify(decoder.get(), request.position, request.tokens, draft)
                .ok());
        expected = PlainVerify(engine_options.model, options, session, draft);
      }
      engine.FailStepAfter(fails ? static_cast<int>(random() % 3) : -1);
      const absl::StatusOr<DecodedTokens> result =
          Finish(&engine, decoder.get(), rows_max);
      engine.FailStepAfter(-1);
      if (!result.ok()) {
        EXPECT_TRUE(fails);
        continue;
      }
      ASSERT_EQ(*result, expected) << "round " << round;
      // Some of the answer is committed.
      expected.resize(random() % (expected.size() + 1));
      for (const SampledToken& token : expected) session.push_back(token.id);
    }
  }
}

}  // namespace
}  // namespace tandem
