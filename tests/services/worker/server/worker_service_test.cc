#include "services/worker/server/worker_service.h"

#include <gtest/gtest.h>

#include "tests/services/worker/worker_fixture.h"

namespace tandem {
namespace {

class WorkerServiceTest : public WorkerFixture {
 protected:
  grpc::Status Describe(v1::DescribeResponse* response) {
    grpc::ClientContext context;
    SetTestDeadline(&context);
    return stub_->Describe(&context, v1::DescribeRequest(), response);
  }
};

TEST_F(WorkerServiceTest, DescribesItsModel) {
  Start(v1::WORKER_ROLE_DRAFT);
  v1::DescribeResponse response;
  ASSERT_TRUE(Describe(&response).ok());
  EXPECT_EQ(response.version(), "0.1.0");
  EXPECT_EQ(response.role(), v1::WORKER_ROLE_DRAFT);
  ASSERT_EQ(response.models_size(), 1);
  EXPECT_EQ(response.models(0).model_id(), "fake-model");
  EXPECT_EQ(response.models(0).fingerprint(), "fake-fingerprint");
  EXPECT_EQ(response.models(0).vocabulary_fingerprint(), "fake-vocabulary");
  EXPECT_EQ(response.models(0).numerics(), "int8");
  EXPECT_EQ(response.models(0).context_max(), 1000);
  EXPECT_EQ(response.models(0).vocab_size(), kFakeVocabSize);
}

TEST_F(WorkerServiceTest, AnswersWhileTheModelLoads) {
  Listen();
  v1::DescribeResponse described;
  EXPECT_EQ(Describe(&described).error_code(),
            grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_FALSE(service_.IsStalled(absl::ZeroDuration()));
  {
    grpc::ClientContext context;
    SetTestDeadline(&context);
    const auto reader =
        stub_->GetTokenizer(&context, v1::GetTokenizerRequest());
    v1::GetTokenizerResponse response;
    EXPECT_FALSE(reader->Read(&response));
    EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
  }
  {
    grpc::ClientContext context;
    SetTestDeadline(&context);
    const auto reader = stub_->Watch(&context, v1::WatchRequest());
    v1::WatchResponse response;
    EXPECT_FALSE(reader->Read(&response));
    EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
  }
  {
    DecodeCall call(stub_.get());
    EXPECT_EQ(call.Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
  }
  SetModel(v1::WORKER_ROLE_TARGET);
  EXPECT_TRUE(Describe(&described).ok());
  DecodeCall call(stub_.get());
  ASSERT_TRUE(call.Write(OpenRequest({1, 3})));
  EXPECT_TRUE(call.Read().has_value());
}

TEST_F(WorkerServiceTest, ModelsComeAndGo) {
  Start(v1::WORKER_ROLE_TARGET);
  uint64_t generation = 0;
  WaitForLoad([&](const auto& load) {
    generation = load.models_generation();
    return load.models_size() == 1 &&
           load.models(0).model_id() == "fake-model" &&
           load.models(0).kv_pages_total() == 1000;
  });
  WorkerModelParts parts;
  parts.info.role = v1::WORKER_ROLE_TARGET;
  parts.info.model_id = "second";
  parts.info.fingerprint = "second-fingerprint";
  parts.info.vocab_size = kFakeVocabSize;
  parts.info.context_max = 1000;
  parts.engine = std::make_unique<GatedEngine>(FakeEngineOptions());
  ASSERT_TRUE(service_.models()->Add(std::move(parts)).ok());
  WaitForLoad([&](const auto& load) {
    return load.models_generation() > generation && load.models_size() == 2 &&
           load.models(1).kv_pages_total() == 1000;
  });
  v1::DescribeResponse described;
  ASSERT_TRUE(Describe(&described).ok());
  ASSERT_EQ(described.models_size(), 2);
  EXPECT_EQ(described.models(1).model_id(), "second");
  // Of several one must be named.
  const auto ends_with = [this](const std::string& id) {
    DecodeCall call(stub_.get());
    v1::DecodeRequest open = OpenRequest({1, 3});
    open.mutable_open()->set_model_id(id);
    call.Write(open);
    call.WritesDone();
    const auto opened = call.Read();
    if (opened.has_value()) {
      EXPECT_EQ(opened->opened().fingerprint(),
                id.empty() ? "fake-fingerprint" : id + "-fingerprint");
    }
    return call.Finish().error_code();
  };
  EXPECT_EQ(ends_with(""), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(ends_with("third"), grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(ends_with("second"), grpc::StatusCode::OK);
  ASSERT_TRUE(service_.models()->Remove("second", absl::Seconds(60)).ok());
  EXPECT_EQ(ends_with("second"), grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(ends_with(""), grpc::StatusCode::OK);
  WaitForLoad([](const auto& load) { return load.models_size() == 1; });
}

class WorkerTokenizerTest : public WorkerFixture {
 protected:
  grpc::Status Get(const std::string& model_id) {
    grpc::ClientContext context;
    SetTestDeadline(&context);
    v1::GetTokenizerRequest request;
    request.set_model_id(model_id);
    const auto reader = stub_->GetTokenizer(&context, request);
    v1::GetTokenizerResponse response;
    received_.clear();
    chunks_ = 0;
    while (reader->Read(&response)) {
      EXPECT_LE(response.chunk().size(), kTokenizerChunkBytes);
      received_ += response.chunk();
      ++chunks_;
    }
    return reader->Finish();
  }

  std::string received_;
  int chunks_ = 0;
};

TEST_F(WorkerTokenizerTest, ImageComesInPieces) {
  tokenizer_image_.clear();
  for (size_t i = 0; i < kTokenizerChunkBytes * 5 / 2; ++i) {
    tokenizer_image_.push_back(static_cast<char>(i * 31 % 251));
  }
  Start(v1::WORKER_ROLE_TARGET);
  EXPECT_TRUE(Get("").ok());
  EXPECT_EQ(chunks_, 3);
  EXPECT_TRUE(received_ == tokenizer_image_);
  EXPECT_TRUE(Get("fake-model").ok());
  EXPECT_EQ(Get("other").error_code(), grpc::StatusCode::NOT_FOUND);
}

TEST_F(WorkerTokenizerTest, WholeChunksAndNone) {
  tokenizer_image_ = std::string(kTokenizerChunkBytes, 'x');
  Start(v1::WORKER_ROLE_TARGET);
  EXPECT_TRUE(Get("").ok());
  EXPECT_EQ(chunks_, 1);
}

TEST_F(WorkerTokenizerTest, CancelInTheMiddle) {
  tokenizer_image_ = std::string(kTokenizerChunkBytes * 64, 'x');
  Start(v1::WORKER_ROLE_TARGET);
  grpc::ClientContext context;
  SetTestDeadline(&context);
  const auto reader = stub_->GetTokenizer(&context, v1::GetTokenizerRequest());
  v1::GetTokenizerResponse response;
  EXPECT_TRUE(reader->Read(&response));
  context.TryCancel();
  while (reader->Read(&response)) {
  }
  EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::CANCELLED);
}

TEST_F(WorkerTokenizerTest, PeersThatDoNotReadAreBounded) {
  // More than flow control takes in advance.
  tokenizer_image_ = std::string(kTokenizerChunkBytes * 64, 'x');
  Start(v1::WORKER_ROLE_TARGET);
  struct Call {
    grpc::ClientContext context;
    std::unique_ptr<grpc::ClientReader<v1::GetTokenizerResponse>> reader;
  };
  std::vector<std::unique_ptr<Call>> calls;
  v1::GetTokenizerResponse response;
  for (int i = 0; i < kTokenizerCallsMax; ++i) {
    calls.push_back(std::make_unique<Call>());
    SetTestDeadline(&calls.back()->context);
    calls.back()->reader =
        stub_->GetTokenizer(&calls.back()->context, v1::GetTokenizerRequest());
    ASSERT_TRUE(calls.back()->reader->Read(&response));
  }
  EXPECT_EQ(Get("").error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  for (const std::unique_ptr<Call>& call : calls) call->context.TryCancel();
  for (const std::unique_ptr<Call>& call : calls) {
    while (call->reader->Read(&response)) {
    }
    EXPECT_EQ(call->reader->Finish().error_code(), grpc::StatusCode::CANCELLED);
  }
  const absl::Time ended = absl::Now();
  while (Get("").error_code() == grpc::StatusCode::RESOURCE_EXHAUSTED) {
    ASSERT_LT(absl::Now(), ended + absl::Seconds(30));
  }
  EXPECT_EQ(received_.size(), tokenizer_image_.size());
}

}  // namespace
}  // namespace tandem
