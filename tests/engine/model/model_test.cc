#include "engine/model/model.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <thread>

#include "absl/strings/ascii.h"
#include "engine/base/cpu_features.h"
#include "engine/base/error_reason.h"
#include "engine/base/hash.h"
#include "engine/engine.h"
#include "engine/model/model_state.h"
#include "tests/engine/model/tiny_model.h"

namespace tandem {
namespace {

using ::testing::HasSubstr;

std::unique_ptr<ModelState> MakeState(const Model& model) {
  absl::StatusOr<std::unique_ptr<ModelState>> state =
      ModelState::Create(model.config(), {.numerics = model.numerics(),
                                          .kv_type = KvType::kF32,
                                          .threads = 1,
                                          .level = SimdLevel::kScalar,
                                          .context_max = 64,
                                          .kv_pages = 4,
                                          .rows_max = 16,
                                          .sequences_max = 2});
  EXPECT_TRUE(state.ok()) << state.status();
  return *std::move(state);
}

TEST(ModelTest, ForwardGivesALogitRowForEveryToken) {
  const auto model = LoadTiny(TinyModel(TinyModelSpec()));
  ASSERT_TRUE(model.ok()) << model.status();
  const std::unique_ptr<ModelState> state = MakeState(**model);
  const SequenceId id = *state->kv().Open({.tokens_max = 10});
  const std::vector<TokenId> tokens = {1, 20, 30, 40};
  const auto all = (*model)->Forward(tokens, 0, id, state.get());
  ASSERT_TRUE(all.ok()) << all.status();
  ASSERT_EQ(all->size(), 4u * 300u);
  // Going back to position 2 gives the same two rows again.
  const auto last = (*model)->Forward(absl::MakeConstSpan(tokens).subspan(2), 2,
                                      id, state.get());
  ASSERT_TRUE(last.ok()) << last.status();
  EXPECT_TRUE(std::equal(last->begin(), last->end(), all->begin() + 2 * 300));
}

TEST(ModelDeathTest, ForwardChecksAsStepDoes) {
  const auto model = LoadTiny(TinyModel(TinyModelSpec()));
  ASSERT_TRUE(model.ok()) << model.status();
  const std::unique_ptr<ModelState> state = MakeState(**model);
  const SequenceId id = *state->kv().Open({.tokens_max = 10});
  const std::vector<TokenId> bad = {300};
  EXPECT_DEATH((*model)->Forward(bad, 0, id, state.get()).IgnoreError(),
               "vocab_size");
}

TEST(ModelTest, DescribesItself) {
  TinyModelSpec spec;
  spec.type = TensorType::kQ4_0;
  const auto model = LoadTiny(TinyModel(spec));
  ASSERT_TRUE(model.ok()) << model.status();
  EXPECT_EQ((*model)->numerics(), NumericsMode::kInt8);
  EXPECT_EQ((*model)->tokenizer().vocab_size(), 300);
  EXPECT_GT((*model)->weight_bytes(), 0);
  EXPECT_EQ((*model)->fingerprint().size(), 64u);
  // The image that coordinators get has the same vocabulary and no tensors.
  const auto image =
      GgufFile::FromBytes((*model)->tokenizer_image(), "tokenizer");
  ASSERT_TRUE(image.ok()) << image.status();
  EXPECT_TRUE((*image)->tensors().empty());
  const auto tokenizer = Tokenizer::FromGguf(**image);
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
  EXPECT_EQ((*tokenizer)->vocabulary_fingerprint(),
            (*model)->tokenizer().vocabulary_fingerprint());
}

std::string FingerprintOf(const TinyModel& tiny,
                          const ModelOptions& options = {}) {
  const auto model = LoadTiny(tiny, options);
  EXPECT_TRUE(model.ok()) << model.status();
  return model.ok() ? (*model)->fingerprint() : "";
}

TEST(ModelTest, TheFingerprintFollowsWhatChangesText) {
  const TinyModel base((TinyModelSpec()));
  const std::string fingerprint = FingerprintOf(base);
  EXPECT_EQ(FingerprintOf(base), fingerprint);
  EXPECT_EQ(FingerprintOf(base, {.threads = 1}), fingerprint);

  TinyModel changed = base;
  changed.metadata["llama.rope.freq_base"] = 50000.0f;
  EXPECT_NE(FingerprintOf(changed), fingerprint);
  changed = base;
  changed.metadata["llama.attention.layer_norm_rms_epsilon"] = 1e-6f;
  EXPECT_NE(FingerprintOf(changed), fingerprint);
  changed = base;
  changed.metadata["llama.context_length"] = uint32_t{128};
  EXPECT_NE(FingerprintOf(changed), fingerprint);
  changed = base;
  changed.tensor("blk.1.ffn_down.weight").data[100] ^= 1;
  EXPECT_NE(FingerprintOf(changed), fingerprint);
  changed = base;
  changed.pieces[299] = "other";
  EXPECT_NE(FingerprintOf(changed), fingerprint);
  changed = base;
  changed.metadata["tokenizer.ggml.add_bos_token"] = false;
  EXPECT_NE(FingerprintOf(changed), fingerprint);
  EXPECT_NE(FingerprintOf(base, {.numerics = NumericsMode::kInt8}),
            fingerprint);
}

void ExpectRefused(const TinyModel& tiny, const std::string& reason,
                   const std::string& text) {
  const absl::Status status = LoadTiny(tiny).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
  ASSERT_TRUE(GetErrorDetail(status).has_value()) << status;
  EXPECT_EQ(GetErrorDetail(status)->reason, reason);
  EXPECT_THAT(std::string(status.message()), HasSubstr(text));
}

TEST(ModelTest, RefusesABadConfigTokenizerOrTensor) {
  TinyModel config((TinyModelSpec()));
  config.metadata["llama.block_count"] = uint32_t{0};
  ExpectRefused(config, kReasonMalformedFile, "llama.block_count");

  TinyModel tokenizer((TinyModelSpec()));
  tokenizer.metadata["tokenizer.ggml.model"] = std::string("other");
  ExpectRefused(tokenizer, kReasonUnsupportedModel, "other");

  TinyModel vocabulary((TinyModelSpec()));
  vocabulary.pieces.pop_back();
  ExpectRefused(vocabulary, kReasonMalformedFile, "tokenizer.ggml.tokens");

  TinyModel tensor((TinyModelSpec()));
  tensor.Erase("blk.0.ffn_up.weight");
  ExpectRefused(tensor, kReasonMalformedFile, "blk.0.ffn_up.weight");
}

TEST(ModelTest, RefusesThreadsOutOfRange) {
  for (const int threads : {-1, 1 << 20}) {
    const absl::Status status =
        LoadTiny(TinyModel(TinyModelSpec()), {.threads = threads}).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    ASSERT_TRUE(GetErrorDetail(status).has_value());
    EXPECT_EQ(GetErrorDetail(status)->violations[0].field, "threads");
  }
}

// Every prefix of a file is refused and none ends the process.
TEST(ModelTest, TruncatedFilesAreRefused) {
  TinyModelSpec spec;
  spec.layers = 1;
  spec.type = TensorType::kQ4_0;
  const std::string image = TinyModel(spec).Serialize();
  for (size_t size = 0; size < image.size(); size += 97) {
    auto file = GgufFile::FromBytes(image.substr(0, size), "cut.gguf");
    if (!file.ok()) continue;
    EXPECT_FALSE(Model::Load(*std::move(file), {.threads = 1}).ok()) << size;
  }
}

// The demo's draft in a file of the test's own, for each load anew.
class ModelFileThatChangesTest : public ::testing::Test {
 protected:
  ~ModelFileThatChangesTest() override { std::filesystem::remove(path_); }

  // The load, and `change` when about `moment` of the weights are read.
  absl::Status LoadWithChange(double moment,
                              const std::function<void()>& change) {
    Restore();
    bool is_changed = false;
    return Model::Load(*GgufFile::Open(path_),
                       {.threads = 2,
                        .progress =
                            [&](double progress) {
                              if (is_changed || progress < moment) return;
                              is_changed = true;
                              change();
                            }})
        .status();
  }
  void Restore() {
    std::filesystem::copy_file(
        TANDEM_SOURCE_DIR "/deploy/models/tales-draft-q8_0.gguf", path_,
        std::filesystem::copy_options::overwrite_existing);
    // Long ago: a file system's clock may be coarser than this test is quick.
    std::filesystem::last_write_time(
        path_,
        std::filesystem::file_time_type::clock::now() - std::chrono::hours(1));
  }
  // Other bytes from `begin` on, in the same file.
  void Overwrite(std::streamoff begin) {
    std::fstream file(path_, std::ios::binary | std::ios::in | std::ios::out);
    file.seekp(begin);
    file << std::string(4096, 'x');
  }
  void ExpectChanged(const absl::Status& status) {
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
    EXPECT_THAT(std::string(status.message()),
                HasSubstr("has changed while it was read"));
  }

  const std::string path_ = ::testing::TempDir() + "/model_that_changes_" +
                            std::to_string(getpid()) + ".gguf";
};

// Reading a mapped file would end in SIGBUS here.
TEST_F(ModelFileThatChangesTest, AFileThatIsCutIsAnErrorOfTheLoad) {
  for (const double moment : {0.01, 0.3, 0.6, 0.9, 1.0}) {
    for (const int64_t size : {int64_t{0}, int64_t{1} << 20}) {
      ExpectChanged(LoadWithChange(
          moment, [&] { std::filesystem::resize_file(path_, size); }));
    }
  }
}

TEST_F(ModelFileThatChangesTest, AFileThatIsRewrittenIsAnErrorOfTheLoad) {
  for (const double moment : {0.01, 0.5, 1.0}) {
    for (const std::streamoff begin : {0, 1 << 20}) {
      ExpectChanged(LoadWithChange(moment, [&] { Overwrite(begin); }));
    }
  }
}

TEST_F(ModelFileThatChangesTest, AFileThatIsReplacedIsLoaded) {
  const absl::Status status = LoadWithChange(0.3, [&] {
    std::ofstream(path_ + ".new") << "new";
    std::filesystem::rename(path_ + ".new", path_);
  });
  EXPECT_TRUE(status.ok()) << status;
}

// Weights and vocabulary are copies.
TEST_F(ModelFileThatChangesTest, AModelDoesNotNeedItsFile) {
  Restore();
  const auto model = *Model::Load(*GgufFile::Open(path_), {.threads = 1});
  const auto logits = [&model] {
    const std::unique_ptr<ModelState> state = MakeState(*model);
    const SequenceId id = *state->kv().Open({.tokens_max = 10});
    return *model->Forward({1, 20, 30}, 0, id, state.get());
  };
  const std::vector<float> before = logits();
  std::filesystem::resize_file(path_, 0);
  EXPECT_EQ(logits(), before);
  EXPECT_FALSE(model->tokenizer().piece(300).empty());
}

// At any moment, by another thread: an error or a model, and no signal.
TEST_F(ModelFileThatChangesTest, SurvivesChangesAtAnyMoment) {
  int failed = 0;
  for (int round = 0; round < 24; ++round) {
    Restore();
    std::thread changer([&] {
      std::this_thread::sleep_for(std::chrono::microseconds(300) * round);
      std::filesystem::resize_file(path_, (round % 4) << 19);
    });
    absl::Status status;
    absl::StatusOr<std::unique_ptr<GgufFile>> file = GgufFile::Open(path_);
    if (file.ok()) status = Model::Load(*std::move(file), {}).status();
    if (!file.ok()) status = file.status();
    changer.join();
    if (status.ok()) continue;
    ++failed;
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
  }
  EXPECT_GT(failed, 0);
}

TEST(ModelTest, ADigestPinsTheFile) {
  const std::string image = TinyModel(TinyModelSpec()).Serialize();
  const std::string digest = Sha256OfBytes(
      {reinterpret_cast<const uint8_t*>(image.data()), image.size()});
  const auto load = [&](const std::vector<std::string>& digests) {
    return Model::Load(*GgufFile::FromBytes(image, "tiny.gguf"),
                       {.sha256 = digests, .threads = 1})
        .status();
  };
  EXPECT_TRUE(load({digest}).ok()) << load({digest});
  EXPECT_TRUE(load({absl::AsciiStrToUpper(digest)}).ok());
  std::string other = digest;
  other[63] = other[63] == '0' ? '1' : '0';
  for (const auto& digests :
       {std::vector<std::string>{other}, {digest, digest}}) {
    const absl::Status status = load(digests);
    EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << status;
    EXPECT_EQ(GetErrorDetail(status)->reason, kReasonDigestMismatch);
    EXPECT_THAT(std::string(status.message()), HasSubstr("tiny.gguf"));
  }
  EXPECT_THAT(std::string(load({other}).message()),
              HasSubstr("has SHA-256 " + digest + ", must have " + other));
}

}  // namespace
}  // namespace tandem
