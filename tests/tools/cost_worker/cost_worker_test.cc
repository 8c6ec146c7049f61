#include "tools/cost_worker/cost_worker.h"

#include <grpcpp/grpcpp.h>
#include <unistd.h>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "services/common/channel.h"
#include "tandem/v1/worker.grpc.pb.h"
#include "tests/tools/cost_worker/cost_vocabulary.h"

namespace tandem::bench {
namespace {

TEST(CostWorkerTest, TheVocabularyIsServed) {
  CostWorkerOptions options;
  options.role = v1::WORKER_ROLE_DRAFT;
  options.model_id = "m";
  options.vocabulary_path = DemoVocabularyPath();
  options.engine.sequences_max = 3;
  const absl::StatusOr<WorkerModelParts> parts = MakeCostWorkerParts(options);
  ASSERT_TRUE(parts.ok()) << parts.status();
  const auto tokenizer = DemoTokenizer();
  EXPECT_EQ(parts->info.role, v1::WORKER_ROLE_DRAFT);
  EXPECT_EQ(parts->info.model_id, "m");
  EXPECT_EQ(parts->info.vocabulary_fingerprint,
            tokenizer->vocabulary_fingerprint());
  EXPECT_EQ(parts->info.vocab_size, tokenizer->vocab_size());
  EXPECT_EQ(parts->loop.streams_max, 3);
  EXPECT_FALSE(parts->info.fingerprint.empty());
  EXPECT_FALSE(parts->tokenizer_image.empty());
}

TEST(CostWorkerTest, AMissingVocabularyIsAnError) {
  CostWorkerOptions options;
  options.vocabulary_path = "/nowhere/v.gguf";
  EXPECT_FALSE(MakeCostWorkerParts(options).ok());
}

// The whole worker: verifies a right draft, and a wrong one up to its error.
TEST(CostWorkerTest, AWorkerVerifiesByTheFunction) {
  CostWorkerOptions options;
  options.vocabulary_path = DemoVocabularyPath();
  absl::StatusOr<WorkerModelParts> parts = MakeCostWorkerParts(options);
  ASSERT_TRUE(parts.ok()) << parts.status();
  const auto reference = CostEngine::Create(DemoTokenizer(), options.engine);
  WorkerOptions worker;
  worker.server.listen =
      absl::StrCat("unix:", ::testing::TempDir(), "/cost_", getpid());
  const auto server = WorkerServer::Listen(worker);
  ASSERT_TRUE(server.ok()) << server.status();
  (*server)->Serve(*std::move(parts));

  const auto stub = v1::WorkerService::NewStub(
      MakeChannel((*server)->address(), grpc::InsecureChannelCredentials()));
  grpc::ClientContext context;
  const auto stream = stub->Decode(&context);
  v1::DecodeRequest request;
  v1::OpenSequence* open = request.mutable_open();
  open->mutable_tokens()->Add(10);
  open->set_generated_from(1);
  open->set_tokens_max(100);
  open->mutable_options()->set_seed(1);
  ASSERT_TRUE(stream->Write(request));
  v1::DecodeResponse response;
  ASSERT_TRUE(stream->Read(&response));  // opened
  const TokenId first = (*reference)->NextToken(0, 10);
  const TokenId second = (*reference)->NextToken(1, first);
  v1::VerifyTokens* verify = request.mutable_verify();
  verify->set_position(0);
  verify->add_tokens(10);
  verify->add_draft(first);
  verify->add_draft(second + 1);
  ASSERT_TRUE(stream->Write(request));
  ASSERT_TRUE(stream->Read(&response));
  ASSERT_EQ(response.decoded().token_ids_size(), 2);
  EXPECT_EQ(response.decoded().token_ids(0), first);
  EXPECT_EQ(response.decoded().token_ids(1), second);
  stream->WritesDone();
  EXPECT_TRUE(stream->Finish().ok());
  (*server)->Drain();
}

}  // namespace
}  // namespace tandem::bench
