#include "engine/engine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <new>
#include <thread>

#include "engine/base/error_reason.h"
#include "tests/engine/model/tiny_model.h"

namespace {

// Counts what the program allocates, on any thread.
std::atomic<int64_t> allocations = 0;

void* CountedAllocate(size_t size, size_t alignment) {
  allocations.fetch_add(1, std::memory_order_relaxed);
  const size_t rounded = (size + alignment - 1) / alignment * alignment;
  void* memory = std::aligned_alloc(alignment, std::max(rounded, alignment));
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

}  // namespace

void* operator new(size_t size) {
  return CountedAllocate(size, alignof(std::max_align_t));
}
void* operator new(size_t size, std::align_val_t alignment) {
  return CountedAllocate(size, static_cast<size_t>(alignment));
}
// Not inlined: GCC takes free for a mismatch where it sees new as a call.
[[gnu::noinline]] void operator delete(void* memory) noexcept {
  std::free(memory);
}
[[gnu::noinline]] void operator delete(void* memory, size_t) noexcept {
  std::free(memory);
}
[[gnu::noinline]] void operator delete(void* memory,
                                       std::align_val_t) noexcept {
  std::free(memory);
}
[[gnu::noinline]] void operator delete(void* memory, size_t,
                                       std::align_val_t) noexcept {
  std::free(memory);
}

namespace tandem {
namespace {

std::shared_ptr<const Model> TinyShared(TensorType type = TensorType::kQ8_0) {
  TinyModelSpec spec;
  spec.type = type;
  const auto model = LoadTiny(TinyModel(spec));
  EXPECT_TRUE(model.ok()) << model.status();
  return *model;
}

std::unique_ptr<Engine> MakeEngine(const EngineOptions& options = {}) {
  absl::StatusOr<std::unique_ptr<Engine>> engine =
      Engine::Load(TinyShared(), options);
  EXPECT_TRUE(engine.ok()) << engine.status();
  return *std::move(engine);
}

// A checksum of the rows, without keeping them.
class Checksum : public RowConsumer {
 public:
  void OnRow(size_t, size_t, absl::Span<float> logits) override {
    ++rows;
    for (float logit : logits) sum += logit;
  }
  size_t rows = 0;
  double sum = 0;
};

TEST(EngineTest, FillsInDefaults) {
  const std::unique_ptr<Engine> engine = MakeEngine();
  EXPECT_EQ(engine->info().vocab_size, 300);
  EXPECT_EQ(engine->info().context_max, 256);
  EXPECT_EQ(engine->info().rows_max, 256);
  EXPECT_EQ(engine->info().fingerprint.size(), 64u);
  EXPECT_EQ(engine->tokenizer().vocab_size(), 300);
  EXPECT_EQ(engine->kv_usage().pages_total, 4 * 256 / 32);
  EXPECT_EQ(engine->kv_usage().pages_reserved, 0);
  EXPECT_EQ(engine->kv_usage().page_tokens, 32);
}

struct BadOption {
  const char* field;
  EngineOptions options;
};

TEST(EngineTest, NamesOptionsOutOfRange) {
  const std::vector<BadOption> cases = {
      {"threads", {.threads = -1}},
      {"threads", {.threads = 1 << 20}},
      {"context_max", {.context_max = -1}},
      {"context_max", {.context_max = 257}},
      {"kv_tokens", {.kv_tokens = -1}},
      {"kv_tokens", {.kv_tokens = int64_t{1} << 62}},
      {"rows_max", {.rows_max = 0}},
      {"rows_max", {.rows_max = 4097}},
      {"sequences_max", {.sequences_max = 0}},
      {"sequences_max", {.sequences_max = -5}},
  };
  const std::shared_ptr<const Model> model = TinyShared();
  for (const BadOption& bad : cases) {
    const absl::Status status = Engine::Load(model, bad.options).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << bad.field;
    const std::optional<ErrorDetail> detail = GetErrorDetail(status);
    ASSERT_TRUE(detail.has_value());
    EXPECT_EQ(detail->reason, kReasonInvalidOptions);
    EXPECT_EQ(detail->violations[0].field, bad.field);
  }
}

TEST(EngineTest, KvThatDoesNotFitIsResourceExhausted) {
  const absl::Status status =
      Engine::Load(TinyShared(), {.kv_tokens = int64_t{1} << 40}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << status;
}

TEST(EngineTest, WithoutKvTokensItHasWhatThePlanGives) {
  const auto engine = Engine::Load(TinyShared(), {.context_max = 64});
  ASSERT_TRUE(engine.ok()) << engine.status();
  EXPECT_EQ((*engine)->kv_usage().pages_total, 4 * 2) << "four contexts";
}

// Where a sequence exceeds the pool it never fits: refused, with what fits.
TEST(EngineTest, ASequenceAboveThePoolIsToldWhatFits) {
  const auto engine = Engine::Load(TinyShared(), {.kv_tokens = 64});
  ASSERT_TRUE(engine.ok()) << engine.status();
  const absl::Status status = (*engine)->Open({.tokens_max = 65}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(GetErrorDetail(status)->reason, kReasonContextExceeded);
  EXPECT_THAT(std::string(status.message()),
              ::testing::HasSubstr("a sequence holds 1 to 64 tokens (the KV "
                                   "memory; the context is 256"));
}

TEST(EngineTest, RefusesABadLevelInTheEnvironment) {
  setenv("TANDEM_SIMD", "fastest", 1);
  const absl::Status status = Engine::Load(TinyShared(), {}).status();
  unsetenv("TANDEM_SIMD");
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
}

TEST(EngineTest, TheFingerprintHasKvTypeAndContext) {
  const std::shared_ptr<const Model> model = TinyShared();
  const auto fingerprint = [&](const EngineOptions& options) {
    return (*Engine::Load(model, options))->info().fingerprint;
  };
  const std::string base = fingerprint({});
  // What can not change text is no part of it.
  EXPECT_EQ(fingerprint({.threads = 1,
                         .kv_tokens = 64,
                         .kv_type = KvType::kBf16,
                         .rows_max = 5,
                         .sequences_max = 2}),
            base);
  EXPECT_NE(fingerprint({.kv_type = KvType::kF32}), base);
  EXPECT_NE(fingerprint({.context_max = 128}), base);
}

TEST(EngineTest, OpenReservesAndCloseFrees) {
  const std::unique_ptr<Engine> engine =
      MakeEngine({.kv_tokens = 128, .sequences_max = 3});
  EXPECT_EQ(engine->Open({.tokens_max = 0}).status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(engine->Open({.tokens_max = 257}).status().code(),
            absl::StatusCode::kInvalidArgument);
  const SequenceId a = *engine->Open({.tokens_max = 40});
  const SequenceId b = *engine->Open({.tokens_max = 64});
  EXPECT_EQ(engine->kv_usage().pages_reserved, 4);
  EXPECT_EQ(engine->Open({.tokens_max = 1}).status().code(),
            absl::StatusCode::kResourceExhausted);
  engine->Close(a);
  EXPECT_EQ(engine->kv_usage().pages_reserved, 2);
  EXPECT_TRUE(engine->Open({.tokens_max = 1}).ok());
  engine->Close(b);
  EXPECT_EQ(engine->kv_usage().pages_reserved, 1);
}

TEST(EngineTest, RollbackGivesTheSameRowsAgain) {
  const std::unique_ptr<Engine> engine = MakeEngine();
  const SequenceId id = *engine->Open({.tokens_max = 100});
  const std::vector<TokenId> prompt = {1, 10, 20, 30, 40};
  const std::vector<TokenId> wrong = {7, 8};
  const std::vector<TokenId> right = {50};
  const auto run = [&](Position position, const std::vector<TokenId>& tokens) {
    Checksum consumer;
    const StepItem item = {.sequence = id,
                           .position = position,
                           .tokens = tokens,
                           .rows = WantedRows::kLast};
    EXPECT_TRUE(engine->Step({&item, 1}, &consumer).ok());
    return consumer.sum;
  };
  run(0, prompt);
  const double first = run(5, right);
  EXPECT_NE(run(5, wrong), first);
  EXPECT_EQ(run(5, right), first);
  EXPECT_EQ(run(0, {1, 10, 20, 30, 40, 50}), first);
}

TEST(EngineTest, KeepsThePagesOfATenantsPrompt) {
  const std::unique_ptr<Engine> engine = MakeEngine({.kv_tokens = 256});
  std::vector<TokenId> tokens(100);
  for (size_t i = 0; i < tokens.size(); ++i) {
    tokens[i] = static_cast<TokenId>(3 * i % 290);
  }
  const auto run = [&](absl::string_view tenant) {
    const SequenceId id =
        *engine->Open({.tokens_max = 128, .tokens = tokens, .tenant = tenant});
    const Position found = engine->state(id).length;
    Checksum consumer;
    const StepItem item = {.sequence = id,
                           .position = found,
                           .tokens = absl::MakeConstSpan(tokens).subspan(found),
                           .rows = WantedRows::kLast};
    EXPECT_TRUE(engine->Step({&item, 1}, &consumer).ok());
    // The prompt's whole pages are fixed now.
    EXPECT_EQ(engine->state(id).cut_min, 96);
    const StepItem cut = {.sequence = id, .position = 95, .tokens = tokens};
    EXPECT_DEATH(engine->Step({&cut, 1}, &consumer).IgnoreError(), "cut_min");
    engine->Close(id);
    return std::make_pair(found, consumer.sum);
  };
  const auto [none, first] = run("alice");
  EXPECT_EQ(none, 0);
  EXPECT_EQ(engine->kv_usage().pages_reserved, 0);
  EXPECT_EQ(engine->kv_usage().pages_cached, 3);
  const auto [found, second] = run("alice");
  EXPECT_EQ(found, 96);
  EXPECT_EQ(second, first);
  const auto [others, third] = run("bob");
  EXPECT_EQ(others, 0);
  EXPECT_EQ(third, first);
  const auto off = Engine::Load(TinyShared(), {.prefix_cache = false});
  for (int i = 0; i < 2; ++i) {
    const SequenceId id = *(*off)->Open({.tokens_max = 128, .tokens = tokens});
    EXPECT_EQ((*off)->state(id).length, 0);
    const StepItem item = {.sequence = id, .tokens = tokens};
    EXPECT_TRUE((*off)->Step({&item, 1}, nullptr).ok());
    (*off)->Close(id);
  }
  EXPECT_EQ((*off)->kv_usage().pages_cached, 0);
}

// A model whose layers all have a window of 8: beyond 2 pages a sequence takes
// no more memory, and is cut back 17 tokens at least.
TEST(EngineTest, WindowsBoundMemoryAndHowFarASequenceIsCutBack) {
  TinyModel tiny(TinyModelSpec{});
  tiny.metadata["llama.attention.sliding_window"] = uint32_t{8};
  const auto model = LoadTiny(tiny);
  ASSERT_TRUE(model.ok()) << model.status();
  const auto engine = Engine::Load(*model, {.kv_tokens = 64, .rows_max = 16});
  ASSERT_TRUE(engine.ok()) << engine.status();
  const SequenceId id = *(*engine)->Open({.tokens_max = 250});
  EXPECT_EQ((*engine)->kv_usage().pages_reserved, 2);
  const std::vector<TokenId> tokens(10, 7);
  const auto step = [&](Position position) {
    Checksum consumer;
    const StepItem item = {
        .sequence = id, .position = position, .tokens = tokens};
    return (*engine)->Step({&item, 1}, &consumer);
  };
  Position reached = 0;
  for (; reached < 250; reached += 10) {
    ASSERT_TRUE(step(reached).ok());
    const SequenceState state = (*engine)->state(id);
    EXPECT_EQ(state.length, reached + 10);
    EXPECT_LE(state.cut_min, std::max<Position>(0, reached + 10 - 17));
  }
  const Position cut_min = (*engine)->state(id).cut_min;
  EXPECT_GT(cut_min, 0);
  EXPECT_DEATH(step(cut_min - 1).IgnoreError(), "cut_min");
  EXPECT_EQ((*engine)->state(id).length, 250);
  EXPECT_TRUE(step(cut_min).ok());
  EXPECT_EQ((*engine)->state(id).length, cut_min + 10);
}

// After a warm-up a Step with its regions, KV and logits allocates nothing.
// (In float modes oneDNN keeps its own counsel.)
TEST(EngineTest, StepAllocatesNothing) {
  for (const int threads : {1, 2}) {
    const std::unique_ptr<Engine> engine =
        MakeEngine({.threads = threads, .rows_max = 600});
    const SequenceId a = *engine->Open({.tokens_max = 256});
    const SequenceId b = *engine->Open({.tokens_max = 256});
    const SequenceId c = *engine->Open({.tokens_max = 256});
    const std::vector<TokenId> many(100, 7);
    const std::vector<TokenId> one(1, 9);
    const std::vector<StepItem> batch = {
        {.sequence = a, .tokens = many, .rows = WantedRows::kAll},
        {.sequence = b, .tokens = many, .rows = WantedRows::kLast},
        {.sequence = c, .tokens = one, .rows = WantedRows::kLast}};
    Checksum consumer;
    ASSERT_TRUE(engine->Step(batch, &consumer).ok());
    // Pages are shared in it too.
    const SequenceId sharing =
        *engine->Open({.tokens_max = 256, .tokens = many});
    const std::vector<StepItem> shared = {
        {.sequence = sharing, .tokens = many, .rows = WantedRows::kLast}};
    const int64_t before = allocations;
    const absl::Status status = engine->Step(batch, &consumer);
    const absl::Status shared_status = engine->Step(shared, &consumer);
    EXPECT_EQ(allocations, before) << threads << " threads";
    EXPECT_TRUE(status.ok());
    EXPECT_TRUE(shared_status.ok());
    EXPECT_EQ(engine->state(sharing).cut_min, 96);
  }
}

TEST(EngineTest, UsageMayBeReadFromAnotherThread) {
  const std::unique_ptr<Engine> engine = MakeEngine({.threads = 1});
  std::atomic<bool> stop = false;
  std::thread reader([&] {
    while (!stop) {
      const KvUsage usage = engine->kv_usage();
      EXPECT_LE(usage.pages_reserved, usage.pages_total);
    }
  });
  for (int i = 0; i < 200; ++i)
    engine->Close(*engine->Open({.tokens_max = 100}));
  stop = true;
  reader.join();
  EXPECT_EQ(engine->kv_usage().pages_reserved, 0);
}

TEST(EngineTest, EnginesShareAModel) {
  const std::shared_ptr<const Model> model = TinyShared();
  const auto first = Engine::Load(model, {.threads = 1});
  const auto second = Engine::Load(model, {.threads = 2});
  ASSERT_TRUE(first.ok() && second.ok());
  EXPECT_EQ((*first)->info().fingerprint, (*second)->info().fingerprint);
  const std::vector<TokenId> tokens = {1, 2, 3, 4};
  double sums[2];
  int next = 0;
  for (Engine* engine : {first->get(), second->get()}) {
    Checksum consumer;
    const StepItem item = {.sequence = *engine->Open({.tokens_max = 4}),
                           .tokens = tokens,
                           .rows = WantedRows::kAll};
    ASSERT_TRUE(engine->Step({&item, 1}, &consumer).ok());
    sums[next++] = consumer.sum;
  }
  EXPECT_EQ(sums[0], sums[1]);
}

}  // namespace
}  // namespace tandem
