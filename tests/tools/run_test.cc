// tandem run: the demo pair inside the test's process.

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "engine/gguf/gguf_file.h"
#include "engine/session/generate.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/engine/model/tiny_model.h"
#include "tests/tools/run_tandem.h"

namespace tandem::cli {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

const char kTarget[] =
    TANDEM_SOURCE_DIR "/deploy/models/tales-target-q8_0.gguf";
const char kDraft[] = TANDEM_SOURCE_DIR "/deploy/models/tales-draft-q8_0.gguf";

RunResult RunModel(std::vector<std::string> arguments,
                   const std::string& input = "") {
  arguments.insert(arguments.begin(), "run");
  return RunTandem(arguments, input);
}

nlohmann::json RunJson(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), {kTarget, "Once upon a time", "--seed",
                                       "7", "--max-tokens", "24", "--json"});
  const RunResult result = RunModel(arguments);
  EXPECT_EQ(result.code, 0) << result.err;
  return nlohmann::json::parse(result.out);
}

// One line that begins with "tandem: " and has `part` in it.
void ExpectError(const RunResult& result, int code, const std::string& part) {
  EXPECT_EQ(result.code, code) << result.err;
  EXPECT_EQ(result.out, "");
  EXPECT_THAT(result.err, StartsWith("tandem: "));
  EXPECT_THAT(result.err, HasSubstr(part));
  EXPECT_EQ(result.err.find('\n'), result.err.size() - 1) << result.err;
}

class RunFileTest : public ::testing::Test {
 protected:
  void TearDown() override { unlink(path_.c_str()); }

  void Write(const std::string& bytes) {
    std::ofstream(path_, std::ios::binary) << bytes;
  }

  const std::string path_ =
      ::testing::TempDir() + "/run_test_" + std::to_string(getpid()) + ".gguf";
};

TEST(RunTest, GivesTheTextOfTheLibrary) {
  ModelStore store;
  ASSERT_TRUE(store.AddFile("tales", kTarget).ok());
  GenerateOptions options;
  options.generation.seed = 7;
  options.generation.max_tokens = 24;
  const absl::StatusOr<GenerateResult> expected =
      Generate(store, "tales", "Once upon a time", options);
  ASSERT_TRUE(expected.ok()) << expected.status();
  const std::vector<std::string> flags = {"--seed", "7", "--max-tokens", "24"};
  for (const bool drafted : {false, true}) {
    for (const bool typed : {false, true}) {
      std::vector<std::string> arguments = {kTarget};
      if (!typed) arguments.push_back("Once upon a time");
      arguments.insert(arguments.end(), flags.begin(), flags.end());
      if (drafted) arguments.insert(arguments.end(), {"--draft", kDraft});
      const RunResult result = RunModel(arguments, "Once upon a time");
      EXPECT_EQ(result.code, 0) << result.err;
      EXPECT_EQ(result.out, expected->text + "\n");
      EXPECT_EQ(result.err, "");
    }
  }
}

TEST(RunTest, JsonTellsTheTurnAndNoSession) {
  const nlohmann::json plain = RunJson({});
  EXPECT_EQ(plain["token_ids"].size(), 24u);
  EXPECT_EQ(plain["finish_reason"], "length");
  EXPECT_EQ(plain["seed"], 7);
  EXPECT_EQ(plain["usage"]["generated_tokens"], 24);
  EXPECT_EQ(plain["model_id"], "tales-target-q8_0");
  EXPECT_EQ(plain["fingerprint"].get<std::string>().size(), 64u);
  EXPECT_FALSE(plain.contains("session_id"));
  EXPECT_GT(plain["speculation"]["verify_us"], 0);
  EXPECT_GT(plain["speculation"]["first_token_us"], 0);
  const nlohmann::json drafted =
      RunJson({"--draft", kDraft, "--draft-length", "4", "--draft-sources",
               "model", "--threads", "1", "--logprobs", "1"});
  EXPECT_EQ(drafted["token_ids"], plain["token_ids"]);
  EXPECT_EQ(drafted["text"], plain["text"]);
  EXPECT_GT(drafted["speculation"]["drafted_tokens"], 0);
  EXPECT_GT(drafted["speculation"]["draft_us"], 0);
  EXPECT_EQ(drafted["logprobs"].size(), 24u);
  const nlohmann::json receipt = plain["receipt"];
  EXPECT_EQ(receipt["fingerprint"], plain["fingerprint"]);
  EXPECT_EQ(receipt["prompt_tokens"], plain["usage"]["prompt_tokens"]);
  EXPECT_EQ(receipt["generated_tokens"], 24);
  EXPECT_EQ(receipt["options"]["seed"], 7);
  EXPECT_EQ(drafted["receipt"]["tokens_hash"], receipt["tokens_hash"]);
  EXPECT_EQ(drafted["receipt"]["prompt_hash"], receipt["prompt_hash"]);
}

TEST(RunTest, ChoicesHaveTextsOfTheirOwn) {
  const nlohmann::json plain = RunJson({});
  EXPECT_EQ(RunJson({"--choice-index", "0"})["token_ids"], plain["token_ids"]);
  const nlohmann::json other = RunJson({"--choice-index", "1"});
  EXPECT_NE(other["token_ids"], plain["token_ids"]);
  EXPECT_EQ(RunJson({"--choice-index", "1", "--draft", kDraft, "--draft-length",
                     "4"})["token_ids"],
            other["token_ids"]);
}

TEST(RunTest, StatsTellNoRpc) {
  const RunResult result =
      RunModel({kTarget, "A", "--max-tokens", "4", "--seed", "1", "--stats"});
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_THAT(result.err, HasSubstr("tokens: 4 in "));
  EXPECT_THAT(result.err, HasSubstr("seed 1\n"));
  EXPECT_THAT(result.err, HasSubstr("verify "));
  EXPECT_THAT(result.err, HasSubstr("models: loaded in "));
  EXPECT_THAT(result.err, Not(HasSubstr("RPC")));
}

TEST(RunTest, StatsSayWhyNothingWasDrafted) {
  const auto stats = [](std::vector<std::string> flags) {
    flags.insert(flags.begin(),
                 {kTarget, "A", "--max-tokens", "2", "--seed", "1", "--stats"});
    const RunResult result = RunModel(flags);
    EXPECT_EQ(result.code, 0) << result.err;
    return result.err;
  };
  EXPECT_THAT(stats({"--draft-length", "0"}),
              HasSubstr("nothing was drafted: it is turned off by "
                        "--draft-length 0"));
  EXPECT_THAT(stats({"--draft-sources", "model"}),
              HasSubstr("nothing was drafted: no draft model was given"));
  EXPECT_THAT(stats({"--draft-sources", "lookup"}),
              HasSubstr("nothing was drafted: lookup found nothing"));
  EXPECT_EQ(
      RunJson({"--draft-sources", "model"})["speculation"]["no_draft_reason"],
      "no_draft_worker");
  EXPECT_EQ(RunJson({"--draft", kDraft, "--draft-length",
                     "4"})["speculation"]["no_draft_reason"],
            "");
}

TEST(RunTest, ATimeoutEndsTheTurn) {
  const RunResult result =
      RunModel({kTarget, "A", "--max-tokens", "1000", "--ignore-eos", "--json",
                "--timeout-ms", "1"});
  EXPECT_EQ(result.code, 0) << result.err;
  const nlohmann::json turn = nlohmann::json::parse(result.out);
  EXPECT_EQ(turn["finish_reason"], "deadline");
  EXPECT_LT(turn["token_ids"].size(), 1000u);
  EXPECT_EQ(RunJson({"--timeout-ms", "86400000"})["finish_reason"], "length");
}

TEST(RunTest, WhatCanNotFitIsRefused) {
  const RunResult refused =
      RunModel({kTarget, "A", "--memory-max-bytes", "100000000"});
  ExpectError(refused, 1, "bytes of memory are needed (");
  for (const char* part :
       {kTarget, "(--memory-max-bytes 100000000)", "--max-tokens", "--context",
        "a smaller file", "or more memory"}) {
    EXPECT_THAT(refused.err, HasSubstr(part));
  }
  EXPECT_THAT(refused.err, Not(HasSubstr("--kv-tokens")));
  EXPECT_THAT(refused.err, Not(HasSubstr("--context-max")));
  EXPECT_THAT(refused.err, Not(HasSubstr("--draft")));
  EXPECT_EQ(RunModel({kTarget, "A", "--max-tokens", "2", "--memory-max-bytes",
                      "1000000000"})
                .code,
            0);
  const RunResult both = RunModel(
      {kTarget, "A", "--draft", kDraft, "--memory-max-bytes", "100000000"});
  ExpectError(both, 1, kDraft);
  EXPECT_THAT(both.err, HasSubstr("what helps: no --draft, a smaller"));
}

TEST(RunTest, StopsAndOptionsAreTheTurns) {
  const nlohmann::json plain = RunJson({"--temperature", "0"});
  const std::string text = plain["text"];
  const nlohmann::json cut =
      RunJson({"--temperature", "0", "--stop", text.substr(10, 4)});
  EXPECT_EQ(cut["finish_reason"], "stop_string");
  EXPECT_EQ(cut["text"], text.substr(0, text.find(text.substr(10, 4))));
  // 255 stop tokens, and no more.
  std::vector<std::string> stops = {"--temperature", "0"};
  for (int id = 3000; id < 3254; ++id) {
    stops.insert(stops.end(), {"--stop-token", std::to_string(id)});
  }
  stops.insert(stops.end(),
               {"--stop-token", std::to_string(int{plain["token_ids"][5]})});
  EXPECT_EQ(RunJson(stops)["finish_reason"], "stop_token");
  stops.insert(stops.begin(), {kTarget, "a"});
  stops.insert(stops.end(), {"--stop-token", "3300"});
  ExpectError(RunModel(stops), 2,
              "--stop-token: must have at most 255 entries");
  ExpectError(RunModel({kTarget, "a", "--stop-token", "4096"}), 2,
              "--stop-token (number 1): must be a token id below 4096");
}

TEST(RunTest, TheContextEndsATurn) {
  const nlohmann::json turn = RunJson({"--context", "16"});
  EXPECT_EQ(turn["finish_reason"], "context");
  EXPECT_EQ(turn["usage"]["prompt_tokens"].get<int>() +
                turn["usage"]["generated_tokens"].get<int>(),
            16);
  ExpectError(RunModel({kTarget, "a", "--context", "1025"}), 2,
              "--context 1025: the model in");
}

TEST(RunTest, PromptsThatCanNotBeRun) {
  std::string words;
  for (int i = 0; i < 2000; ++i) words += "king ";
  const RunResult longer = RunModel({kTarget}, words);
  ExpectError(longer, 1, "leave no room in a context of 1024");
  EXPECT_THAT(longer.err, HasSubstr("tales-target"));
  ExpectError(RunModel({kTarget}, "a\xff"), 2, "not UTF-8 at byte 1");
  ExpectError(RunModel({kDraft, "a", "--chat"}), 1,
              "--chat and --system: the model's file has no chat template");
  ExpectError(RunModel({kTarget, "a", "--prompt-file", "b"}), 2, "not both");
  // The vocabulary begins every text with BOS, so an empty one is a prompt.
  EXPECT_EQ(RunModel({kTarget, "", "--max-tokens", "2"}).code, 0);
}

TEST_F(RunFileTest, FilesThatCanNotBeRun) {
  ExpectError(RunModel({"/nowhere/model.gguf", "a"}), 1,
              "/nowhere/model.gguf: ");
  ExpectError(RunModel({::testing::TempDir(), "a"}), 1, ::testing::TempDir());
  ExpectError(RunModel({"", "a"}), 2, "empty");
  ExpectError(RunModel({}), 2, "FILE");
  Write("GGUX and so on");
  ExpectError(RunModel({path_, "a"}), 1, path_);
  // A model in the prompt's place.
  ExpectError(RunModel({kTarget, kDraft}), 2, "--draft");
  ExpectError(RunModel({kTarget, "a", "b"}), 2, "b");
}

TEST_F(RunFileTest, DraftsThatCanNotBeUsed) {
  ExpectError(RunModel({kTarget, "a", "--draft", "/nowhere/draft.gguf"}), 1,
              "--draft: /nowhere/draft.gguf: ");
  ExpectError(RunModel({kTarget, "a", "--draft", kTarget}), 2,
              "the model itself");
  Write(TinyModel(TinyModelSpec()).Serialize());
  const RunResult other = RunModel({kTarget, "a", "--draft", path_});
  ExpectError(other, 1, "--draft " + path_);
  EXPECT_THAT(other.err, HasSubstr("the first token that differs is "));
}

TEST_F(RunFileTest, ChatGoesThroughTheTemplate) {
  TinyModel model{TinyModelSpec()};
  model.metadata["tokenizer.chat_template"] = std::string(
      "{% for m in messages %}<|im_start|>{{ m.role }}\n"
      "{{ m.content }}<|im_end|>\n{% endfor %}"
      "{% if add_generation_prompt %}<|im_start|>assistant\n"
      "{% endif %}");
  Write(model.Serialize());
  const auto tokens = [this](std::vector<std::string> flags) {
    flags.insert(flags.begin(), {path_, "Hello", "--max-tokens", "1", "--json",
                                 "--ignore-eos"});
    const RunResult result = RunModel(flags);
    EXPECT_EQ(result.code, 0) << result.err;
    return nlohmann::json::parse(result.out)["usage"]["prompt_tokens"]
        .get<int>();
  };
  const int plain = tokens({});
  const int chat = tokens({"--chat"});
  EXPECT_GT(chat, plain);
  EXPECT_GT(tokens({"--system", "Be brief."}), chat);
}

// Of what a file has before its weights, flags are checked first: this model
// lacks a tensor, which loading finds.
TEST_F(RunFileTest, WrongFlagsAreFoundBeforeTheModelIsLoaded) {
  TinyModel model{TinyModelSpec()};
  model.metadata["tokenizer.chat_template"] =
      std::string("{% for m in messages %}{{ m.content }}{% endfor %}");
  ASSERT_EQ(model.tensors.back().name.find("token_embd"), std::string::npos);
  const std::string missing = model.tensors.back().name;
  model.tensors.pop_back();
  Write(model.Serialize());
  ExpectError(RunModel({path_, "a"}), 1, missing);
  ExpectError(RunModel({path_, "a", "--context", "1000000"}), 2,
              "--context 1000000: the model in ");
  ExpectError(RunModel({path_, "a", "--context", "1"}), 1,
              "leave no room in a context of 1");
  ExpectError(RunModel({path_, "a", "--stop-token", "300"}), 2,
              "--stop-token (number 1): must be a token id below 300");
  ExpectError(
      RunModel({path_, "a", "--chat", "--template-option", "template=nope"}), 2,
      "--template-option");
  ExpectError(RunModel({path_, "a", "--draft", kDraft}), 1,
              std::string("--draft ") + kDraft);
  ExpectError(RunModel({path_, "a", "--memory-max-bytes", "1"}), 1,
              "bytes of memory are needed (");
  model.metadata["tokenizer.chat_template"] = std::string("{% for m in");
  Write(model.Serialize());
  ExpectError(RunModel({path_, "a", "--chat"}), 1, "template");
  ExpectError(RunModel({path_, "a"}), 1, missing);
}

TEST(RunTest, NumericsAreChecked) {
  ExpectError(RunModel({kTarget, "a", "--numerics", "int4"}), 2, "--numerics");
  EXPECT_EQ(
      RunModel({kTarget, "a", "--numerics", "f32", "--max-tokens", "2"}).code,
      0);
}

}  // namespace
}  // namespace tandem::cli
