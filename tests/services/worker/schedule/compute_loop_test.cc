#include "services/worker/schedule/compute_loop.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "tests/services/worker/compute_loop_fixture.h"
#include "tests/services/worker/decoder_alone.h"

namespace tandem {
namespace {

using ::testing::SizeIs;

using Client = LoopClient;
using ComputeLoopTest = ComputeLoopFixture;

TEST_F(ComputeLoopTest, AnswersAsTheDecoderAlone) {
  Start();
  const std::vector<TokenId> prompt = {1, 3, 4, 5};
  DecoderAlone alone(std::make_unique<FakeEngine>(), OpenOptions(prompt));
  Client client;
  const StreamId id = MustOpen(&client, OpenOptions(prompt));
  EXPECT_TRUE(client.WaitOpened().ok());

  Position position = static_cast<Position>(prompt.size()) - 1;
  TokenId last = prompt.back();
  for (int round = 0; round < 10; ++round) {
    ASSERT_TRUE(loop_->Submit(id, Propose(position, {last}, 4)).ok());
    const absl::StatusOr<ComputeResult> proposed = client.WaitResult();
    ASSERT_TRUE(proposed.ok());
    EXPECT_EQ(proposed->tokens, alone.Propose(position, {last}, 4));
    EXPECT_GE(proposed->compute_us, 0);
    std::vector<TokenId> draft;
    for (const SampledToken& token : proposed->tokens) {
      draft.push_back(token.id);
    }
    draft.back() = 3;  // most likely wrong
    ASSERT_TRUE(loop_->Submit(id, Verify(position, {last}, draft)).ok());
    const absl::StatusOr<ComputeResult> verified = client.WaitResult();
    ASSERT_TRUE(verified.ok());
    EXPECT_EQ(verified->tokens, alone.Verify(position, {last}, draft));
    position += static_cast<Position>(verified->tokens.size());
    last = verified->tokens.back().id;
  }
  CloseAndWait(id, &client);
  EXPECT_EQ(engine_->open_sequences(), 0);
  const ComputeLoad load = loop_->load();
  EXPECT_EQ(load.streams_open, 0);
  EXPECT_EQ(load.requests_pending, 0);
  EXPECT_FALSE(load.step_costs.empty());
  EXPECT_EQ(load.sequences_per_step, 1);
}

TEST_F(ComputeLoopTest, RequestsOfOneStreamAreAnsweredInOrder) {
  Start();
  Client client;
  const StreamId id = MustOpen(&client, OpenOptions({1, 3, 4}));
  // All at once, without waiting for the open.
  ASSERT_TRUE(loop_->Submit(id, Propose(2, {4}, 1)).ok());
  ASSERT_TRUE(loop_->Submit(id, Propose(2, {4}, 2)).ok());
  ASSERT_TRUE(loop_->Submit(id, Propose(2, {4}, 3)).ok());
  for (size_t length = 1; length <= 3; ++length) {
    const absl::StatusOr<ComputeResult> result = client.WaitResult();
    ASSERT_TRUE(result.ok());
    EXPECT_THAT(result->tokens, SizeIs(length));
  }
  CloseAndWait(id, &client);
}

TEST_F(ComputeLoopTest, StreamsShareAStep) {
  Start({.sequences_max = 64});
  constexpr int kStreams = 16;
  std::vector<Client> clients(kStreams);
  std::vector<StreamId> ids;
  engine_->ShutGate();
  // The first one's prefill holds the thread up while the others come.
  ids.push_back(MustOpen(&clients[0], OpenOptions({1, 3, 4})));
  engine_->WaitForStep();
  for (int i = 1; i < kStreams; ++i) {
    ids.push_back(MustOpen(&clients[i], OpenOptions({1, 3, 4})));
  }
  for (int i = 0; i < kStreams; ++i) {
    ASSERT_TRUE(loop_->Submit(ids[i], Propose(2, {4}, 2)).ok());
  }
  EXPECT_EQ(loop_->load().streams_open, kStreams);
  EXPECT_EQ(loop_->load().requests_pending, 2 * kStreams - 1);
  engine_->OpenGate();
  for (Client& client : clients) {
    ASSERT_TRUE(client.WaitResult().ok());
  }
  size_t widest = 0;
  for (const auto& batch : engine_->batches()) {
    int rows = 0;
    std::set<SequenceId> seen;
    for (const SeenItem& item : batch) {
      rows += item.rows;
      EXPECT_TRUE(seen.insert(item.sequence).second);
    }
    EXPECT_LE(rows, 64);
    widest = std::max(widest, batch.size());
  }
  EXPECT_EQ(widest, static_cast<size_t>(kStreams));
  for (int i = 0; i < kStreams; ++i) CloseAndWait(ids[i], &clients[i]);
}

TEST_F(ComputeLoopTest, LongPromptsShareRowsAndLetDecodersThrough) {
  Start({.rows_max = 128, .sequences_max = 8});
  Client decoder;
  const StreamId decoding = MustOpen(&decoder, OpenOptions({1, 3, 4}));
  ASSERT_TRUE(loop_->Submit(decoding, Propose(2, {4}, 1)).ok());
  ASSERT_TRUE(decoder.WaitResult().ok());

  engine_->ShutGate();
  std::vector<Client> clients(3);
  std::vector<StreamId> ids;
  ids.push_back(
      MustOpen(&clients[0], OpenOptions(std::vector<TokenId>(400, 3))));
  engine_->WaitForStep();
  for (int i = 1; i < 3; ++i) {
    ids.push_back(
        MustOpen(&clients[i], OpenOptions(std::vector<TokenId>(400, 4))));
  }
  ASSERT_TRUE(loop_->Submit(decoding, Propose(2, {4}, 16)).ok());
  const size_t from = engine_->batches().size();
  engine_->OpenGate();
  ASSERT_TRUE(decoder.WaitResult().ok());
  // The decoder had a row in each of the 16 next passes.
  const std::vector<std::vector<SeenItem>> batches = engine_->batches();
  ASSERT_GE(batches.size(), from + 16);
  for (size_t i = from; i < from + 16; ++i) {
    EXPECT_EQ(batches[i][0].rows, 1);
    EXPECT_TRUE(batches[i][0].wants_rows);
  }
  // All three prompts had rows in the first of them.
  EXPECT_THAT(batches[from], SizeIs(4));
  for (size_t i = 0; i < ids.size(); ++i) CloseAndWait(ids[i], &clients[i]);
  CloseAndWait(decoding, &decoder);
}

TEST_F(ComputeLoopTest, ManyDecodersLetAPromptThrough) {
  Start({.rows_max = 32, .sequences_max = 64});
  // Twice the rows of a pass, always.
  constexpr int kDecoders = 63;
  std::vector<Client> decoders(kDecoders);
  std::vector<StreamId> ids;
  for (Client& decoder : decoders) {
    ids.push_back(MustOpen(&decoder, OpenOptions({1, 3, 4})));
    ASSERT_TRUE(loop_->Submit(ids.back(), Propose(2, {4}, 1)).ok());
    ASSERT_TRUE(decoder.WaitResult().ok());
  }
  engine_->ShutGate();
  ASSERT_TRUE(loop_->Submit(ids[0], Propose(2, {4}, 1)).ok());
  engine_->WaitForStep();
  for (int i = 1; i < kDecoders; ++i) {
    ASSERT_TRUE(loop_->Submit(ids[i], Propose(2, {4}, 16)).ok());
  }
  Client prompt;
  const StreamId prompt_id =
      MustOpen(&prompt, OpenOptions(std::vector<TokenId>(40, 3)));
  const size_t from = engine_->batches().size();
  engine_->OpenGate();
  for (Client& decoder : decoders) ASSERT_TRUE(decoder.WaitResult().ok());
  const std::vector<std::vector<SeenItem>> batches = engine_->batches();
  int passes_with_prompt = 0;
  for (size_t i = from; i < from + 5; ++i) {
    for (const SeenItem& item : batches[i]) {
      passes_with_prompt += item.rows > 1 ? 1 : 0;
    }
  }
  EXPECT_EQ(passes_with_prompt, 5) << "40 tokens, 8 rows kept in each pass";
  for (int i = 0; i < kDecoders; ++i) CloseAndWait(ids[i], &decoders[i]);
  CloseAndWait(prompt_id, &prompt);
}

TEST_F(ComputeLoopTest, CloseFreesBetweenStepsAndBeforeOpens) {
  Start({.sequences_max = 1});
  Client first;
  const StreamId first_id =
      MustOpen(&first, OpenOptions(std::vector<TokenId>(300, 3)));
  EXPECT_TRUE(first.WaitOpened().ok());
  engine_->ShutGate();
  ASSERT_TRUE(loop_->Submit(first_id, Propose(299, {3}, 16)).ok());
  engine_->WaitForStep();
  // The open comes before the close in the queue, and has its place.
  Client second;
  const StreamId second_id = MustOpen(&second, OpenOptions({1, 3}));
  loop_->Close(first_id);
  engine_->OpenGate();
  first.WaitClosed();
  EXPECT_FALSE(first.HasResult());
  EXPECT_TRUE(second.WaitOpened().ok());
  Client third;
  const StreamId third_id = MustOpen(&third, OpenOptions({1, 3}));
  EXPECT_EQ(third.WaitOpened().code(), absl::StatusCode::kResourceExhausted);
  CloseAndWait(third_id, &third);
  CloseAndWait(second_id, &second);
  EXPECT_EQ(engine_->open_sequences(), 0);
  ExpectNothingPending();
}

TEST_F(ComputeLoopTest, OpenAndCloseInOneRound) {
  Start();
  Client holder;
  const StreamId holder_id = MustOpen(&holder, OpenOptions({1, 3}));
  engine_->ShutGate();
  ASSERT_TRUE(loop_->Submit(holder_id, Propose(1, {3}, 1)).ok());
  engine_->WaitForStep();
  Client client;
  const StreamId id = MustOpen(&client, OpenOptions({1, 3}));
  ASSERT_TRUE(loop_->Submit(id, Propose(1, {3}, 1)).ok());
  loop_->Close(id);
  engine_->OpenGate();
  client.WaitClosed();
  EXPECT_FALSE(client.HasResult());
  CloseAndWait(holder_id, &holder);
  EXPECT_EQ(engine_->open_sequences(), 0);
  ExpectNothingPending();
}

TEST_F(ComputeLoopTest, WrongRequestEndsTheStream) {
  Start();
  Client client;
  const StreamId id = MustOpen(&client, OpenOptions({1, 3, 4}));
  ASSERT_TRUE(loop_->Submit(id, Propose(99, {4}, 1)).ok());  // above the end
  ASSERT_TRUE(loop_->Submit(id, Propose(2, {4}, 1)).ok());
  EXPECT_EQ(client.WaitResult().status().code(),
            absl::StatusCode::kFailedPrecondition);
  // Its KV is free, though it is not closed yet; later requests are dropped.
  EXPECT_EQ(engine_->open_sequences(), 0);
  ASSERT_TRUE(loop_->Submit(id, Propose(2, {4}, 1)).ok());
  CloseAndWait(id, &client);
  EXPECT_FALSE(client.HasResult());
  ExpectNothingPending();
}

TEST_F(ComputeLoopTest, NotANumberFailsItsOwnRequestOnly) {
  Start();
  engine_->CorruptRowAt(6);
  Client good, bad;
  const StreamId good_id = MustOpen(&good, OpenOptions({1, 3, 4}));
  const StreamId bad_id = MustOpen(&bad, OpenOptions({1, 3, 4, 5, 6}));
  ASSERT_TRUE(loop_->Submit(bad_id, Propose(4, {6}, 4)).ok());
  EXPECT_EQ(bad.WaitResult().status().code(), absl::StatusCode::kInternal);
  ASSERT_TRUE(loop_->Submit(good_id, Propose(2, {4}, 2)).ok());
  EXPECT_TRUE(good.WaitResult().ok());
  CloseAndWait(good_id, &good);
  CloseAndWait(bad_id, &bad);
}

TEST_F(ComputeLoopTest, FailedStepEndsItsStreamsAndTheLoopGoesOn) {
  Start();
  Client client;
  engine_->FailNextStep();
  // The failing pass is prefill: the error comes without a request.
  const StreamId id = MustOpen(&client, OpenOptions({1, 3, 4}));
  const absl::Status status = client.WaitResult().status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInternal);
  EXPECT_EQ(std::string(status.message()).find("secret"), std::string::npos);
  CloseAndWait(id, &client);
  Client next;
  const StreamId next_id = MustOpen(&next, OpenOptions({1, 3, 4}));
  ASSERT_TRUE(loop_->Submit(next_id, Propose(2, {4}, 2)).ok());
  EXPECT_TRUE(next.WaitResult().ok());
  CloseAndWait(next_id, &next);
  EXPECT_EQ(engine_->open_sequences(), 0);
  ExpectNothingPending();
}

TEST_F(ComputeLoopTest, StreamsAndRequestsAreBounded) {
  ComputeLoopOptions options;
  options.streams_max = 2;
  options.queue_max = 0;
  Start({}, std::move(options));
  Client clients[3];
  const StreamId first = MustOpen(&clients[0], OpenOptions({1, 3, 4}));
  ASSERT_TRUE(clients[0].WaitOpened().ok());
  engine_->ShutGate();
  ASSERT_TRUE(loop_->Submit(first, Propose(2, {4}, 1)).ok());
  engine_->WaitForStep();
  const StreamId second = MustOpen(&clients[1], OpenOptions({1, 3, 4}));
  EXPECT_EQ(loop_->Open({.decoder = OpenOptions({1, 3, 4})}, &clients[2])
                .status()
                .code(),
            absl::StatusCode::kResourceExhausted);
  int accepted = 2;  // the open and the request above
  while (loop_->Submit(second, Propose(2, {4}, 1)).ok()) ++accepted;
  EXPECT_EQ(accepted, 2 * kStreamRequestsMax);
  engine_->OpenGate();
  CloseAndWait(first, &clients[0]);
  CloseAndWait(second, &clients[1]);
  ExpectNothingPending();
}

TEST_F(ComputeLoopTest, EndClosesWhatIsOpen) {
  Start();
  Client clients[2];
  MustOpen(&clients[0], OpenOptions({1, 3, 4}));
  EXPECT_TRUE(clients[0].WaitOpened().ok());
  MustOpen(&clients[1], OpenOptions({1, 3, 4}));
  engine_ = nullptr;
  loop_.reset();
  clients[0].WaitClosed();
  clients[1].WaitClosed();
}

TEST_F(ComputeLoopTest, ReportsLoadChangesAndStalls) {
  std::atomic<int> changes{0};
  ComputeLoopOptions options;
  options.on_load_changed = [&changes] { ++changes; };
  const std::string path =
      absl::StrCat(::testing::TempDir(), "loop-lock-", getpid());
  options.processor = *ProcessorLock::Open(path, ProcessorLock::Role::kTarget);
  Start({}, std::move(options));
  EXPECT_FALSE(loop_->IsStalled(absl::ZeroDuration()));
  Client client;
  engine_->ShutGate();
  const StreamId id = MustOpen(&client, OpenOptions({1, 3, 4}));
  engine_->WaitForStep();
  EXPECT_GE(changes, 1);
  // Nothing is known of the first pass.
  EXPECT_FALSE(loop_->IsStalled(absl::ZeroDuration()));
  engine_->OpenGate();
  ASSERT_TRUE(loop_->Submit(id, Propose(2, {4}, 1)).ok());
  ASSERT_TRUE(client.WaitResult().ok());
  engine_->ShutGate();
  ASSERT_TRUE(loop_->Submit(id, Propose(2, {4}, 1)).ok());
  engine_->WaitForStep();
  while (!loop_->IsStalled(absl::ZeroDuration())) {
    absl::SleepFor(absl::Milliseconds(1));
  }
  EXPECT_FALSE(loop_->IsStalled(absl::Hours(1)));
  engine_->OpenGate();
  CloseAndWait(id, &client);
  loop_.reset();
  engine_ = nullptr;
  std::remove(path.c_str());
}

TEST_F(ComputeLoopTest, RandomTrafficSettles) {
  Start({.rows_max = 16, .sequences_max = 20});
  uint64_t state = 12345;
  const auto random = [&state](uint64_t below) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (state >> 33) % below;
  };
  for (int repeat = 0; repeat < 20; ++repeat) {
    std::vector<Client> clients(24);  // more than there is room for
    std::vector<StreamId> ids;
    for (Client& client : clients) {
      ids.push_back(MustOpen(
          &client, OpenOptions(std::vector<TokenId>(1 + random(40), 3)),
          random(2) == 0 ? "a" : "b",
          absl::Milliseconds(static_cast<int64_t>(random(3)))));
    }
    for (int i = 0; i < 100; ++i) {
      const size_t which = random(clients.size());
      const Position position = static_cast<Position>(random(50));
      const absl::Status status =
          random(2) == 0
              ? loop_->Submit(ids[which], Propose(position, {3}, 1 + random(4)))
              : loop_->Submit(ids[which], Verify(position, {3}, {4, 5}));
      EXPECT_TRUE(status.ok());
    }
    for (const StreamId id : ids) loop_->Close(id);
    for (Client& client : clients) client.WaitClosed();
    EXPECT_EQ(engine_->open_sequences(), 0);
    ExpectNothingPending();
    EXPECT_EQ(loop_->load().streams_open, 0);
  }
}

TEST_F(ComputeLoopTest, ReportsWhatWasKeptOfTheTokens) {
  Start({.kept_page_tokens = 2});
  for (const Position kept : {0, 4}) {
    Client client;
    SequenceDecoderOptions options = OpenOptions({1, 3, 4, 5, 6});
    options.tenant = "tenant";
    const StreamId id = MustOpen(&client, options);
    ASSERT_TRUE(loop_->Submit(id, Verify(4, {6}, {})).ok());
    EXPECT_TRUE(client.WaitOpened().ok());
    EXPECT_EQ(client.cached_tokens(), kept);
    EXPECT_TRUE(client.WaitResult().ok());
    CloseAndWait(id, &client);
  }
}

}  // namespace
}  // namespace tandem
