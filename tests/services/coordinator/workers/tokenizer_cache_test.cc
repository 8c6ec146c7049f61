#include "services/coordinator/workers/tokenizer_cache.h"

#include <grpcpp/create_channel.h>
#include <gtest/gtest.h>

#include "engine/base/error_reason.h"
#include "tests/services/coordinator/fake_model.h"
#include "tests/services/coordinator/fake_worker_service.h"

namespace tandem {
namespace {

class TokenizerCacheTest : public ::testing::Test {
 protected:
  TokenizerCacheTest()
      : stub_(v1::WorkerService::NewStub(grpc::CreateChannel(
            worker_.address(), grpc::InsecureChannelCredentials()))) {}

  TokenizerSource Source() {
    return {
        .stub = stub_.get(),
        .address = worker_.address(),
        .model_id = "fake",
        .fingerprint = worker_.service().options().fingerprint,
        .vocabulary_fingerprint = worker_.service().vocabulary_fingerprint()};
  }

  FakeWorker worker_;
  std::unique_ptr<v1::WorkerService::Stub> stub_;
  TokenizerCache cache_;
};

TEST_F(TokenizerCacheTest, JoinsThePiecesAndParsesThemOnce) {
  EXPECT_EQ(cache_.Find(Source()), nullptr);
  EXPECT_EQ(cache_.bytes(), 0);
  grpc::ClientContext context;
  const auto tokenizer = cache_.Fetch(Source(), &context);
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
  EXPECT_TRUE(CheckSameVocabulary(**tokenizer, *FakeTokenizer()).ok());
  // From the cache: this context would not do for a call.
  const auto again = cache_.Fetch(Source(), &context);
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(*again, *tokenizer);
  EXPECT_EQ(cache_.Find(Source()), *tokenizer);
  EXPECT_GE(cache_.bytes(), static_cast<int64_t>(FakeTokenizerImage().size()));
}

TEST_F(TokenizerCacheTest, AVocabularyIsFetchedOnce) {
  grpc::ClientContext context;
  const auto tokenizer = cache_.Fetch(Source(), &context);
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
  TokenizerSource draft = Source();
  draft.fingerprint = "draft";
  // This context would not do for a call.
  const auto found = cache_.FetchVocabulary(draft, &context);
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_EQ(*found, *tokenizer);
  EXPECT_EQ(cache_.Find(draft), nullptr);
  TokenizerCache empty;
  grpc::ClientContext other_context;
  const auto fetched = empty.FetchVocabulary(draft, &other_context);
  ASSERT_TRUE(fetched.ok()) << fetched.status();
  EXPECT_EQ(empty.Find(draft), *fetched);
}

TEST_F(TokenizerCacheTest, LooksAtAPairOnce) {
  const std::shared_ptr<const Tokenizer> target = FakeTokenizer();
  const auto file = GgufFile::FromBytes(FakeTokenizerImage("-other"), "other");
  ASSERT_TRUE(file.ok()) << file.status();
  const auto other = Tokenizer::FromGguf(**file);
  ASSERT_TRUE(other.ok()) << other.status();
  EXPECT_TRUE(cache_.CheckPair(*target, *target).ok());
  for (int i = 0; i < 2; ++i) {
    const absl::Status status = cache_.CheckPair(**other, *target);
    EXPECT_EQ(GetErrorDetail(status)->reason, kReasonVocabularyMismatch);
    EXPECT_EQ(status, CheckSameVocabulary(**other, *target));
  }
}

// A fine-tuned model has its base's vocabulary, and a chat template.
TEST_F(TokenizerCacheTest, KeepsModelsWithOneVocabularyApart) {
  grpc::ClientContext context;
  const auto first = cache_.Fetch(Source(), &context);
  ASSERT_TRUE(first.ok()) << first.status();
  TokenizerSource other = Source();
  other.fingerprint = "fingerprint-2";
  EXPECT_EQ(cache_.Find(other), nullptr);
  grpc::ClientContext other_context;
  const auto second = cache_.Fetch(other, &other_context);
  ASSERT_TRUE(second.ok()) << second.status();
  EXPECT_NE(*first, *second);
  EXPECT_EQ(cache_.Find(Source()), *first);
  EXPECT_EQ(cache_.Find(other), *second);
}

TEST_F(TokenizerCacheTest, RefusesAnotherVocabularyThanTheWorkerTold) {
  TokenizerSource source = Source();
  source.vocabulary_fingerprint = "something else";
  grpc::ClientContext context;
  const absl::Status status = cache_.Fetch(source, &context).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(GetErrorDetail(status)->reason, kReasonVocabularyMismatch);
}

TEST_F(TokenizerCacheTest, TellsAWorkerThatIsGone) {
  const auto stub = v1::WorkerService::NewStub(grpc::CreateChannel(
      "unix:/nonexistent/socket", grpc::InsecureChannelCredentials()));
  TokenizerSource source = Source();
  source.stub = stub.get();
  grpc::ClientContext context;
  EXPECT_EQ(cache_.Fetch(source, &context).status().code(),
            absl::StatusCode::kUnavailable);
}

// The fake's template knows nothing of tools, whatever the format's name.
TEST_F(TokenizerCacheTest, AModelsRepliesHaveAFormat) {
  TokenizerCache named(NamedReplyFormats{{"fake", "hermes"}});
  for (TokenizerCache* cache : {&cache_, &named}) {
    EXPECT_EQ(cache->FindReplyFormat(Source()), nullptr);
    grpc::ClientContext context;
    ASSERT_TRUE(cache->Fetch(Source(), &context).ok());
    const auto format = cache->FindReplyFormat(Source());
    ASSERT_NE(format, nullptr);
    EXPECT_EQ(GetErrorDetail(format->tools_error)->reason,
              kReasonUnsupportedTools);
  }
}

TEST(ParseReplyFormatsTest, AreOfAllModelsOrOfOne) {
  const auto formats = ParseReplyFormats({"hermes", "a=llama3", "b=mistral"});
  ASSERT_TRUE(formats.ok()) << formats.status();
  EXPECT_EQ(*formats, (NamedReplyFormats{
                          {"", "hermes"}, {"a", "llama3"}, {"b", "mistral"}}));
  EXPECT_TRUE(ParseReplyFormats({})->empty());
  EXPECT_EQ(ParseReplyFormats({"a=xml"}).status().message().substr(0, 39),
            "\"a=xml\" names none of the formats deeps");
  for (const char* wrong : {"", "=", "a=", "HERMES", ", "}) {
    EXPECT_EQ(ParseReplyFormats({wrong}).status().code(),
              absl::StatusCode::kInvalidArgument)
        << wrong;
  }
  EXPECT_FALSE(ParseReplyFormats({"hermes", "llama3"}).ok());
  EXPECT_FALSE(ParseReplyFormats({"a=hermes", "a=llama3"}).ok());
}

}  // namespace
}  // namespace tandem
