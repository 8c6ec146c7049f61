#include "services/worker/server/request_check.h"

#include <gtest/gtest.h>

#include <limits>
#include <variant>

#include "engine/base/error_reason.h"
#include "services/common/worker_protocol.h"
#include "tests/services/worker/worker_fixture.h"

namespace tandem {
namespace {

constexpr int64_t kHuge = std::numeric_limits<int64_t>::max();

WorkerModelInfo Model(v1::WorkerRole role) {
  WorkerModelInfo model;
  model.role = role;
  model.model_id = "model";
  model.fingerprint = "print";
  model.context_max = 100;
  model.vocab_size = 10;
  return model;
}

v1::OpenSequence GoodOpen() { return OpenRequest({1, 3, 4}, 50).open(); }

void ExpectError(const absl::Status& status, absl::StatusCode code,
                 const std::string& reason, const std::string& field) {
  EXPECT_EQ(status.code(), code) << status;
  const std::optional<ErrorDetail> detail = GetErrorDetail(status);
  ASSERT_TRUE(detail.has_value()) << status;
  EXPECT_EQ(detail->reason, reason);
  ASSERT_EQ(detail->violations.empty(), field.empty());
  if (field.empty()) return;
  EXPECT_EQ(detail->violations[0].field, field);
}

void ExpectInvalid(const absl::Status& status, const std::string& reason,
                   const std::string& field) {
  ExpectError(status, absl::StatusCode::kInvalidArgument, reason, field);
}

TEST(RequestCheckTest, GoodOpenIsTaken) {
  const WorkerModelInfo model = Model(v1::WORKER_ROLE_TARGET);
  v1::OpenSequence open = GoodOpen();
  open.set_generated_from(2);
  open.set_tenant("tenant");
  open.set_queue_timeout_ms(1500);
  open.set_tenant_kv_share(0.25);
  const auto options = ReadOpen(model, open);
  ASSERT_TRUE(options.ok()) << options.status();
  EXPECT_EQ(options->decoder.tokens, (std::vector<TokenId>{1, 3, 4}));
  EXPECT_EQ(options->decoder.generated_from, 2);
  EXPECT_EQ(options->decoder.tokens_max, 50);
  EXPECT_EQ(options->decoder.options.seed, 7u);
  EXPECT_EQ(options->tenant, "tenant");
  EXPECT_EQ(options->tenant_kv_share, 0.25);
  EXPECT_EQ(options->queue_timeout, absl::Milliseconds(1500));
  EXPECT_EQ(options->decoder.tenant, "tenant");
  open.set_tenant(std::string(256, 't'));
  EXPECT_EQ(ReadOpen(model, open)->tenant, std::string(256, 't'));
  open.set_model_id("model");
  open.set_fingerprint("print");
  EXPECT_TRUE(ReadOpen(model, open).ok());
}

TEST(RequestCheckTest, WrongOpenNamesTheField) {
  const WorkerModelInfo model = Model(v1::WORKER_ROLE_TARGET);
  v1::OpenSequence open = GoodOpen();
  open.set_model_id("other");
  ExpectError(ReadOpen(model, open).status(), absl::StatusCode::kNotFound,
              kReasonUnknownModel, "");
  open = GoodOpen();
  open.set_fingerprint("other");
  EXPECT_EQ(ReadOpen(model, open).status().code(),
            absl::StatusCode::kFailedPrecondition);
  open = GoodOpen();
  open.clear_tokens();
  ExpectInvalid(ReadOpen(model, open).status(), kReasonEmptyPrompt,
                "open.tokens");
  for (const TokenId id : {-1, 10, std::numeric_limits<TokenId>::max(),
                           std::numeric_limits<TokenId>::min()}) {
    open = GoodOpen();
    open.set_tokens(1, id);
    ExpectInvalid(ReadOpen(model, open).status(), kReasonInvalidToken,
                  "open.tokens[1]");
  }
  for (const int64_t from : {int64_t{0}, int64_t{-1}, int64_t{4}, kHuge}) {
    open = GoodOpen();
    open.set_generated_from(from);
    ExpectInvalid(ReadOpen(model, open).status(), kReasonInvalidOptions,
                  "open.generated_from");
  }
  for (const int64_t most : {int64_t{101}, kHuge, int64_t{2}, -kHuge}) {
    open = GoodOpen();
    open.set_tokens_max(most);
    ExpectInvalid(ReadOpen(model, open).status(), kReasonContextExceeded,
                  "open.tokens_max");
  }
  open = GoodOpen();
  open.set_session_id(std::string(kSessionIdBytesMax + 1, 's'));
  ExpectInvalid(ReadOpen(model, open).status(), kReasonInvalidOptions,
                "open.session_id");
  open.set_session_id(std::string(kSessionIdBytesMax, 's'));
  EXPECT_TRUE(ReadOpen(model, open).ok());
  open = GoodOpen();
  open.set_tenant(std::string(kTenantBytesMax + 1, 't'));
  ExpectInvalid(ReadOpen(model, open).status(), kReasonInvalidOptions,
                "open.tenant");
  for (const int wait_ms : {-1, kQueueTimeoutMsMax + 1}) {
    open = GoodOpen();
    open.set_queue_timeout_ms(wait_ms);
    ExpectInvalid(ReadOpen(model, open).status(), kReasonInvalidOptions,
                  "open.queue_timeout_ms");
  }
  for (const double share :
       {-0.1, 1.1, std::numeric_limits<double>::quiet_NaN()}) {
    open = GoodOpen();
    open.set_tenant_kv_share(share);
    ExpectInvalid(ReadOpen(model, open).status(), kReasonInvalidOptions,
                  "open.tenant_kv_share");
  }
  open = GoodOpen();
  open.mutable_options()->set_draft_sources(static_cast<v1::DraftSources>(77));
  ExpectInvalid(ReadOpen(model, open).status(), kReasonInvalidOptions,
                "draft_sources");
  open.mutable_options()->clear_draft_sources();
  open.mutable_options()->clear_seed();
  ExpectInvalid(ReadOpen(model, open).status(), kReasonInvalidOptions,
                "open.options.seed");
  open = GoodOpen();
  open.mutable_options()->set_temperature(
      std::numeric_limits<float>::quiet_NaN());
  ExpectInvalid(ReadOpen(model, open).status(), kReasonInvalidOptions,
                "temperature");
}

TEST(RequestCheckTest, ScoresAreOfTheTokensAndOfTargets) {
  const WorkerModelInfo target = Model(v1::WORKER_ROLE_TARGET);
  v1::OpenSequence open = GoodOpen();  // of 3 tokens
  open.set_score_from(2);
  open.set_score_alternatives(20);
  const auto options = ReadOpen(target, open);
  ASSERT_TRUE(options.ok()) << options.status();
  EXPECT_EQ(options->decoder.score_from, 2);
  EXPECT_EQ(options->decoder.score_alternatives, 20);
  ExpectError(ReadOpen(Model(v1::WORKER_ROLE_DRAFT), open).status(),
              absl::StatusCode::kFailedPrecondition, kReasonWrongState, "");
  for (const int alternatives : {-1, 21}) {
    open.set_score_alternatives(alternatives);
    ExpectInvalid(ReadOpen(target, open).status(), kReasonInvalidOptions,
                  "open.score_alternatives");
  }
  open.set_score_alternatives(0);
  for (const int64_t from : {int64_t{-1}, int64_t{3}, kHuge}) {
    open.set_score_from(from);
    ExpectInvalid(ReadOpen(target, open).status(), kReasonInvalidOptions,
                  "open.score_from");
  }
  open.set_score_from(0);
  open.set_score_alternatives(1);
  ExpectInvalid(ReadOpen(target, open).status(), kReasonInvalidOptions,
                "open.score_alternatives");
}

TEST(RequestCheckTest, RolesMatch) {
  const v1::DecodeRequest propose = ProposeRequest(2, {4}, 4);
  const v1::DecodeRequest verify = VerifyRequest(2, {4}, {5});
  const WorkerModelInfo draft = Model(v1::WORKER_ROLE_DRAFT);
  const WorkerModelInfo target = Model(v1::WORKER_ROLE_TARGET);
  ASSERT_TRUE(ReadRequest(draft, 50, propose).ok());
  EXPECT_EQ(
      std::get<ProposeAction>(*ReadRequest(draft, 50, propose)).draft_length,
      4);
  ASSERT_TRUE(ReadRequest(target, 50, verify).ok());
  EXPECT_EQ(std::get<VerifyAction>(*ReadRequest(target, 50, verify)).draft,
            (std::vector<TokenId>{5}));
  ExpectError(ReadRequest(target, 50, propose).status(),
              absl::StatusCode::kFailedPrecondition, kReasonWrongState, "");
  ExpectError(ReadRequest(draft, 50, verify).status(),
              absl::StatusCode::kFailedPrecondition, kReasonWrongState, "");
}

TEST(RequestCheckTest, WrongProposeAndVerifyNameTheField) {
  const WorkerModelInfo draft = Model(v1::WORKER_ROLE_DRAFT);
  const WorkerModelInfo target = Model(v1::WORKER_ROLE_TARGET);
  for (const int length : {0, -1, 17, std::numeric_limits<int>::max()}) {
    ExpectInvalid(
        ReadRequest(draft, 50, ProposeRequest(2, {4}, length)).status(),
        kReasonInvalidOptions, "propose.draft_length");
  }
  for (const int64_t position : {int64_t{-1}, int64_t{51}, kHuge, -kHuge}) {
    ExpectInvalid(
        ReadRequest(target, 50, VerifyRequest(position, {4}, {})).status(),
        kReasonInvalidOptions, "verify.position");
  }
  ExpectInvalid(ReadRequest(target, 50, VerifyRequest(49, {4, 4}, {})).status(),
                kReasonContextExceeded, "verify.tokens");
  EXPECT_TRUE(ReadRequest(target, 50, VerifyRequest(49, {4}, {})).ok());
  ExpectInvalid(ReadRequest(target, 50, VerifyRequest(2, {}, {})).status(),
                kReasonEmptyPrompt, "verify.tokens");
  ExpectInvalid(ReadRequest(draft, 50, ProposeRequest(2, {4, 10}, 1)).status(),
                kReasonInvalidToken, "propose.tokens[1]");
  // Draft ids are not judged here: wrong ones are dropped.
  EXPECT_TRUE(ReadRequest(target, 50, VerifyRequest(2, {4}, {-5, 99})).ok());
}

}  // namespace
}  // namespace tandem
