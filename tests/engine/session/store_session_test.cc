// Sessions over a store of real models: the demo pair.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <memory>
#include <optional>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "engine/base/error_reason.h"
#include "engine/session/generate.h"
#include "engine/session/inference_session.h"
#include "tests/engine/model/tiny_model.h"

namespace tandem {
namespace {

using ::testing::ElementsAreArray;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr char kTarget[] = "tales-target";
constexpr char kDraft[] = "tales-draft";
constexpr char kPrompt[] = "Once upon a time there was a king";

std::string ModelPath(const std::string& id) {
  return TANDEM_SOURCE_DIR "/deploy/models/" + id + "-q8_0.gguf";
}

std::string ReadBytes(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream bytes;
  bytes << file.rdbuf();
  return bytes.str();
}

std::string Reason(const absl::Status& status) {
  const std::optional<ErrorDetail> detail = GetErrorDetail(status);
  return detail.has_value() ? detail->reason : "";
}

class StoreSessionTest : public ::testing::Test {
 protected:
  void SetUp() override {
    for (const char* id : {kTarget, kDraft}) {
      ASSERT_TRUE(store_.AddFile(id, ModelPath(id)).ok());
    }
    options_.generation.seed = 7;
    options_.generation.max_tokens = 24;
    prompt_ = (*store_.Get(kTarget))->tokenizer().Encode(kPrompt, true);
  }

  std::unique_ptr<InferenceSession> MustCreate() {
    absl::StatusOr<std::unique_ptr<InferenceSession>> session =
        InferenceSession::Create(store_, kTarget, prompt_, options_);
    EXPECT_TRUE(session.ok()) << session.status();
    return *std::move(session);
  }

  absl::Status CreateError(absl::string_view id,
                           const std::vector<TokenId>& prompt) {
    return InferenceSession::Create(store_, id, prompt, options_).status();
  }

  ModelStore store_;
  GenerateOptions options_;
  std::vector<TokenId> prompt_;
};

TEST_F(StoreSessionTest, GoesFromReadyToComplete) {
  for (const bool drafted : {false, true}) {
    if (drafted) {
      options_.draft_model_id = kDraft;
      options_.generation.draft_length = 4;
      options_.generation.draft_sources = DraftSources::kModel;
    }
    const std::unique_ptr<InferenceSession> session = MustCreate();
    EXPECT_EQ(session->state(), SessionState::kReady);
    EXPECT_THAT(session->prompt_tokens(), ElementsAreArray(prompt_));
    EXPECT_THAT(session->generated_tokens(), IsEmpty());
    EXPECT_FALSE(session->is_complete());
    std::vector<TokenId> taken;
    size_t buffered = 0;
    while (true) {
      const absl::StatusOr<std::optional<SampledToken>> token =
          session->NextToken();
      ASSERT_TRUE(token.ok()) << token.status();
      if (!token->has_value()) break;
      taken.push_back((*token)->id);
      // What is committed was handed out or is buffered.
      ASSERT_EQ(taken.size() + session->buffered().size(),
                session->generated_tokens().size());
      EXPECT_THAT(session->generated_tokens().first(taken.size()),
                  ElementsAreArray(taken));
      for (const SampledToken& ahead : session->buffered()) {
        EXPECT_EQ(ahead.id, session->generated_tokens()[taken.size()]);
        break;
      }
      buffered += session->buffered().size();
      EXPECT_EQ(session->is_complete(), taken.size() == 24);
    }
    EXPECT_TRUE(session->is_complete());
    EXPECT_EQ(buffered > 0, drafted);
    EXPECT_THAT(session->prompt_tokens(), ElementsAreArray(prompt_));
    EXPECT_GT(session->times().verify_us, 0);
    EXPECT_EQ(session->times().draft_us > 0, drafted);
    EXPECT_EQ(session->fingerprint().size(), 64u);
    const absl::StatusOr<GenerateResult> same =
        Generate(store_, kTarget, kPrompt, options_);
    ASSERT_TRUE(same.ok()) << same.status();
    EXPECT_EQ(same->token_ids, taken);
    EXPECT_EQ(same->text, session->text());
  }
}

TEST_F(StoreSessionTest, ASecondCallFindsTheEngineOfTheFirst) {
  const std::string prompt(600, 'a');
  const absl::StatusOr<GenerateResult> first =
      Generate(store_, kTarget, prompt, options_);
  const absl::StatusOr<GenerateResult> second =
      Generate(store_, kTarget, prompt, options_);
  ASSERT_TRUE(first.ok()) << first.status();
  ASSERT_TRUE(second.ok()) << second.status();
  EXPECT_EQ(first->usage.cached_prompt_tokens, 0);
  EXPECT_EQ(second->usage.cached_prompt_tokens,
            (second->usage.prompt_tokens - 1) / 32 * 32)
      << "KV that only the same engine can have";
  EXPECT_EQ(second->token_ids, first->token_ids);
}

TEST_F(StoreSessionTest, ALongerRequestGetsMoreKv) {
  const absl::StatusOr<GenerateResult> shorter =
      Generate(store_, kTarget, "A", options_);
  ASSERT_TRUE(shorter.ok()) << shorter.status();
  options_.generation.max_tokens = 900;
  options_.generation.ignore_eos = true;
  const absl::StatusOr<GenerateResult> longer =
      Generate(store_, kTarget, "A", options_);
  ASSERT_TRUE(longer.ok()) << longer.status();
  EXPECT_EQ(longer->token_ids.size(), 900u);
  EXPECT_TRUE(std::equal(shorter->token_ids.begin(), shorter->token_ids.end(),
                         longer->token_ids.begin()));
}

TEST_F(StoreSessionTest, BytesGiveTheTextOfAFile) {
  ModelStore bytes;
  for (const char* id : {kTarget, kDraft}) {
    ASSERT_TRUE(bytes.AddBytes(id, ReadBytes(ModelPath(id))).ok());
  }
  options_.draft_model_id = kDraft;
  const absl::StatusOr<GenerateResult> expected =
      Generate(store_, kTarget, kPrompt, options_);
  ASSERT_TRUE(expected.ok()) << expected.status();
  for (int call = 0; call < 2; ++call) {
    const absl::StatusOr<GenerateResult> result =
        Generate(bytes, kTarget, kPrompt, options_);
    ASSERT_TRUE(result.ok()) << result.status();
    EXPECT_EQ(result->token_ids, expected->token_ids);
  }
}

TEST_F(StoreSessionTest, ThreadsAtTheSameTimeGetTheSameText) {
  options_.engine.threads = 1;
  options_.draft_model_id = kDraft;
  const absl::StatusOr<GenerateResult> expected =
      Generate(store_, kTarget, kPrompt, options_);
  ASSERT_TRUE(expected.ok()) << expected.status();
  std::vector<std::string> texts(3);
  std::vector<std::thread> threads;
  for (std::string& text : texts) {
    threads.emplace_back([this, &text] {
      for (int call = 0; call < 2; ++call) {
        text = Generate(store_, kTarget, kPrompt, options_)->text;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const std::string& text : texts) EXPECT_EQ(text, expected->text);
}

// Sessions that wait hold no engine: each turn finds the same one.
TEST_F(StoreSessionTest, IdleSessionsShareAnEngine) {
  const std::unique_ptr<InferenceSession> first = MustCreate();
  const std::unique_ptr<InferenceSession> second = MustCreate();
  const std::shared_ptr<const Model> model = *store_.Get(kTarget);
  const int64_t holders = model.use_count();
  for (InferenceSession* session : {first.get(), second.get()}) {
    while (session->NextToken()->has_value()) {
    }
    EXPECT_EQ(model.use_count(), holders);
  }
  // Turns take turns, too: a conversation goes on from its own history.
  const GenOptions more = options_.generation;
  for (InferenceSession* session : {first.get(), second.get()}) {
    ASSERT_TRUE(session->StartTurn(" And then", more).ok());
    EXPECT_EQ(session->prompt_tokens().first(prompt_.size()), prompt_);
    while (session->NextToken()->has_value()) {
    }
  }
  EXPECT_EQ(first->tokens(), second->tokens());
  EXPECT_EQ(model.use_count(), holders);
}

TEST_F(StoreSessionTest, ATurnInPlaceOfTheFirstOne) {
  const std::unique_ptr<InferenceSession> session = MustCreate();
  ASSERT_TRUE(session->StartTurn({{1, 300}}, options_.generation).ok());
  EXPECT_TRUE(session->NextToken()->has_value());
  EXPECT_THAT(session->prompt_tokens(),
              ElementsAreArray(std::vector<TokenId>{1, 300}));
  // A turn under way is cancelled; its tokens are history.
  ASSERT_TRUE(session->StartTurn("b", options_.generation).ok());
  EXPECT_GT(session->prompt_tokens().size(), 3u);
  EXPECT_TRUE(session->NextToken()->has_value());
}

TEST_F(StoreSessionTest, CreationTellsWhatIsWrong) {
  EXPECT_EQ(Reason(CreateError("nothing", prompt_)), kReasonUnknownModel);
  EXPECT_EQ(Reason(CreateError(kTarget, {})), kReasonEmptyPrompt);
  EXPECT_EQ(Reason(CreateError(kTarget, {1, 4096})), kReasonInvalidToken);
  EXPECT_EQ(Reason(CreateError(kTarget, std::vector<TokenId>(1024, 300))),
            kReasonContextExceeded);
  options_.engine.context_max = 8;
  EXPECT_EQ(Reason(CreateError(kTarget, prompt_)), kReasonContextExceeded);
  options_.engine.context_max = 1025;
  EXPECT_EQ(Reason(CreateError(kTarget, prompt_)), kReasonInvalidOptions);
  options_.engine.context_max = 0;
  options_.draft_model_id = "nothing";
  EXPECT_EQ(Reason(CreateError(kTarget, prompt_)), kReasonUnknownModel);
  ASSERT_TRUE(
      store_.AddBytes("tiny", TinyModel(TinyModelSpec()).Serialize()).ok());
  options_.draft_model_id = "tiny";
  const absl::Status mismatch = CreateError(kTarget, prompt_);
  EXPECT_EQ(Reason(mismatch), kReasonVocabularyMismatch);
  EXPECT_THAT(std::string(mismatch.message()),
              HasSubstr("the first token that differs"));
  options_.draft_model_id = "";
  options_.generation.stop_token_ids.assign(kStopTokenIdsLimit + 1, 5);
  EXPECT_EQ(Reason(CreateError(kTarget, prompt_)), kReasonInvalidOptions);
}

TEST_F(StoreSessionTest, TwoHundredAndFiftyFiveStopTokens) {
  const absl::StatusOr<GenerateResult> plain =
      Generate(store_, kTarget, kPrompt, options_);
  ASSERT_TRUE(plain.ok()) << plain.status();
  const TokenId stop = plain->token_ids[5];
  std::vector<TokenId>& stops = options_.generation.stop_token_ids;
  for (TokenId id = 2000; stops.size() < 254; ++id) {
    if (std::find(plain->token_ids.begin(), plain->token_ids.end(), id) ==
        plain->token_ids.end()) {
      stops.push_back(id);
    }
  }
  stops.push_back(stop);
  const absl::StatusOr<GenerateResult> stopped =
      Generate(store_, kTarget, kPrompt, options_);
  ASSERT_TRUE(stopped.ok()) << stopped.status();
  EXPECT_EQ(stopped->finish_reason, FinishReason::kStopToken);
  EXPECT_EQ(stopped->token_ids.back(), stop);
  EXPECT_LE(stopped->token_ids.size(), 6u);
}

}  // namespace
}  // namespace tandem
