#include "tools/tandem/command_line.h"

#include <sstream>

#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/tools/run_tandem.h"

namespace tandem::cli {
namespace {

using ::testing::HasSubstr;

// Every command, as it is typed.
const std::vector<std::vector<std::string>>& Commands() {
  static const auto* const commands =
      new std::vector<std::vector<std::string>>{{},
                                                {"up"},
                                                {"run"},
                                                {"generate"},
                                                {"batch"},
                                                {"replay"},
                                                {"chat"},
                                                {"score"},
                                                {"perplexity"},
                                                {"tokenize"},
                                                {"detokenize"},
                                                {"models"},
                                                {"status"},
                                                {"sessions"},
                                                {"sessions", "list"},
                                                {"sessions", "show"},
                                                {"sessions", "delete"},
                                                {"inspect"},
                                                {"quantize"},
                                                {"health"},
                                                {"bench"},
                                                {"bench", "model"},
                                                {"bench", "synthesize"},
                                                {"bench", "serve"},
                                                {"admin"},
                                                {"admin", "models"},
                                                {"admin", "load"},
                                                {"admin", "unload"},
                                                {"keys"},
                                                {"keys", "new"},
                                                {"keys", "list"},
                                                {"keys", "revoke"},
                                                {"completion"}};
  return *commands;
}

std::string HelpOf(std::vector<std::string> command) {
  command.push_back("--help");
  const RunResult result = RunTandem(command);
  EXPECT_EQ(result.code, 0);
  EXPECT_EQ(result.err, "");
  return result.out;
}

// The words of a command line, with the quotes of a shell; what follows a pipe
// or a redirection is the shell's.
std::vector<std::string> Words(const std::string& line) {
  std::vector<std::string> words;
  std::string word;
  bool quoted = false;
  for (const char c : line + " ") {
    if (c == '\'') {
      quoted = !quoted;
    } else if (c == ' ' && !quoted) {
      if (word == "|" || word == "<" || word == ">") return words;
      if (!word.empty()) words.push_back(word);
      word.clear();
    } else {
      word.push_back(c);
    }
  }
  EXPECT_FALSE(quoted) << line;
  return words;
}

TEST(CommandLineTest, HelpOfEveryCommandNamesTheWholeOfIt) {
  for (const auto& command : Commands()) {
    std::string path = "tandem";
    for (const std::string& word : command) path += " " + word;
    EXPECT_THAT(HelpOf(command), HasSubstr("Usage: " + path + " "));
  }
}

TEST(CommandLineTest, ExamplesOfEveryHelpParse) {
  for (const auto& command : Commands()) {
    const std::string help = HelpOf(command);
    const size_t start = help.find("\nExamples:\n");
    ASSERT_NE(start, std::string::npos) << help;
    int examples = 0;
    for (const std::string& line : std::vector<std::string>(
             absl::StrSplit(help.substr(start + 11), '\n'))) {
      if (line.empty()) continue;
      ++examples;
      std::vector<std::string> words = Words(line);
      ASSERT_FALSE(words.empty());
      EXPECT_EQ(words.front(), "tandem") << line;
      words.erase(words.begin());
      std::ostringstream err;
      CommandLine parsed;
      EXPECT_EQ(ParseCommandLine(words, {.err = &err}, &parsed), std::nullopt)
          << line << err.str();
      EXPECT_TRUE(parsed.run != nullptr) << line;
    }
    EXPECT_GT(examples, 0) << help;
  }
}

// So that no number is left to the parser's own conversions and messages.
TEST(CommandLineTest, EveryNumberHasARangeInTheHelp) {
  for (const auto& command : Commands()) {
    for (const std::string& line :
         std::vector<std::string>(absl::StrSplit(HelpOf(command), '\n'))) {
      for (const char* type : {" INT", " UINT", " FLOAT"}) {
        if (line.rfind("  -", 0) != 0 || line.find(type) == std::string::npos) {
          continue;
        }
        EXPECT_THAT(line, HasSubstr(std::string(type) + ":")) << line;
        EXPECT_THAT(line, HasSubstr(" .. ")) << line;
      }
    }
  }
}

TEST(CommandLineTest, Version) {
  for (const char* argument : {"--version", "-v", "version"}) {
    EXPECT_EQ(RunTandem({argument}).out, "tandem 0.1.0\n");
  }
}

TEST(CommandLineTest, HelpByHabit) {
  const std::string help = HelpOf({});
  EXPECT_EQ(RunTandem({}).out, help);
  EXPECT_EQ(RunTandem({"help"}).out, help);
  EXPECT_EQ(RunTandem({"-h"}).out, help);
  EXPECT_EQ(RunTandem({"help", "bench", "serve"}).out,
            HelpOf({"bench", "serve"}));
  EXPECT_EQ(RunTandem({"generate", "-h"}).out, HelpOf({"generate"}));
}

TEST(CommandLineTest, TheManPageHasEveryCommand) {
  const RunResult result = RunTandem({"--man"});
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(result.out.rfind(".TH TANDEM 1 ", 0), 0u);
  for (const auto& command : Commands()) {
    std::string path = "tandem";
    for (const std::string& word : command) path += " " + word;
    if (!command.empty()) {
      EXPECT_THAT(result.out, HasSubstr("\n.SS " + path + "\n"));
    }
  }
}

// What a user types that is wrong, and all that the user is told.
struct WrongUsage {
  std::vector<std::string> arguments;
  const char* message;
};

const WrongUsage kWrong[] = {
    {{"nonsense"}, "there is no command \"nonsense\" (see tandem --help)"},
    {{"genrate", "x"},
     "there is no command \"genrate\"; did you mean generate? (see tandem "
     "--help)"},
    {{"help", "genrate"},
     "there is no command \"genrate\"; did you mean generate? (see tandem "
     "--help)"},
    {{"help", "bench", "modle"},
     "there is no command \"modle\"; did you mean model? (see tandem bench "
     "--help)"},
    {{"model"},
     "there is no command \"model\"; did you mean models? (see tandem --help)"},
    {{"ls"},
     "there is no command \"ls\": `tandem models` lists what is served (see "
     "tandem --help)"},
    {{"list"},
     "there is no command \"list\": `tandem models` lists what is served (see "
     "tandem --help)"},
    {{"ps"},
     "there is no command \"ps\": `tandem status` shows workers, load and "
     "sessions (see tandem --help)"},
    {{"top"},
     "there is no command \"top\": use `tandem status` (see tandem --help)"},
    {{"serve", "--model", "m.gguf"},
     "there is no command \"serve\": `tandem up MODEL` serves a model on this "
     "machine (see tandem --help)"},
    {{"start"},
     "there is no command \"start\": `tandem up MODEL` serves a model on this "
     "machine (see tandem --help)"},
    {{"server"},
     "there is no command \"server\": `tandem up MODEL` serves a model on this "
     "machine (see tandem --help)"},
    {{"pull", "x"},
     "there is no command \"pull\": tandem downloads nothing: a model is a "
     "GGUF file, as huggingface.co has them, which `tandem up FILE` serves "
     "(see tandem --help)"},
    {{"complete", "x"},
     "there is no command \"complete\": use `tandem generate` (see tandem "
     "--help)"},
    {{"--nonsense"}, "there is no flag \"--nonsense\" (see tandem --help)"},
    {{"bench"},
     "tandem bench needs a command: model, synthesize, serve (see tandem bench "
     "--help)"},
    {{"bench", "modle", "x"},
     "there is no command \"modle\"; did you mean model? (see tandem bench "
     "--help)"},
    {{"admin"},
     "tandem admin needs a command: models, load, unload (see tandem admin "
     "--help)"},
    {{"generate", "p", "--max-token", "3"},
     "there is no flag \"--max-token\"; did you mean --max-tokens? (see tandem "
     "generate --help)"},
    {{"generate", "The king", "--max-tokns", "5"},
     "there is no flag \"--max-tokns\"; did you mean --max-tokens? (see tandem "
     "generate --help)"},
    {{"generate", "--temp=0", "p"},
     "there is no flag \"--temp\"; did you mean --temperature? (see tandem "
     "generate --help)"},
    {{"generate", "p", "--cordinator", "x"},
     "there is no flag \"--cordinator\"; did you mean --coordinator? (see "
     "tandem generate --help)"},
    {{"generate", "p", "q"},
     "\"q\" is one argument too many: tandem generate takes prompt; put quotes "
     "around a text of several words (see tandem generate --help)"},
    {{"generate", "p", "--max-tokens"},
     "--max-tokens needs a value (see tandem generate --help)"},
    {{"generate", "p", "--max-tokens", "many"},
     "--max-tokens: \"many\" is not a whole number from 1 to 1048576 (see "
     "tandem generate --help)"},
    {{"generate", "p", "--max-tokens", "99999999999"},
     "--max-tokens: \"99999999999\" is not a whole number from 1 to 1048576 "
     "(see tandem generate --help)"},
    {{"generate", "p", "--temperature", "abc"},
     "--temperature: \"abc\" is not a number from 0 to 100 (see tandem "
     "generate --help)"},
    {{"generate", "p", "--temperature", "-1"},
     "--temperature: \"-1\" is not a number from 0 to 100 (see tandem generate "
     "--help)"},
    {{"generate", "p", "--top-p", "nan"},
     "--top-p: \"nan\" is not a number from 0 to 1 (see tandem generate "
     "--help)"},
    {{"generate", "p", "--top-p", "0"},
     "--top-p: must be above 0 and at most 1, is 0"},
    {{"generate", "p", "--seed", "-1"},
     "--seed: \"-1\" is not a whole number from 0 to 18446744073709551615 (see "
     "tandem generate --help)"},
    {{"generate", "p", "--seed", std::string(309, '9')},
     "--seed: \"9999999999999999999999999999999999999999...\" is not a whole "
     "number from 0 to 18446744073709551615 (see tandem generate --help)"},
    {{"generate", "p", "--draft-length", "17"},
     "--draft-length: \"17\" is neither auto nor a whole number from 0 to 16 "
     "(see tandem generate --help)"},
    {{"generate", "p", "--draft-sources", "modle"},
     "--draft-sources: \"modle\" is not one of any, model, lookup; did you "
     "mean model? (see tandem generate --help)"},
    {{"generate", "p", "--logit-bias", "5"},
     "--logit-bias: \"5\" is not of the form ID=BIAS, e.g. 42=-5 or 42=-inf "
     "(see tandem generate --help)"},
    {{"generate", "p", "--logprobs", "1"},
     "--logprobs is printed with --json only: add --json"},
    {{"perplexity", "f", "--stride", "-1"},
     "--stride: \"-1\" is not a whole number from 0 to 16777216 (see tandem "
     "perplexity --help)"},
    {{"generate", "p", "--timeout-ms", "-1"},
     "--timeout-ms: \"-1\" is not a whole number from 0 to 86400000 (see "
     "tandem generate --help)"},
    {{"generate", "p", "--special", "--chat"},
     "--special does not go with --chat, --system or --messages: the chat "
     "template writes "
     "the special tokens"},
    {{"generate", "p", "--json=x"},
     "--json: \"x\" is neither true nor false (see tandem generate --help)"},
    {{"generate", "p", "--prompt-file", "f"},
     "give the prompt as an argument or by --prompt-file, not both"},
    {{"generate", "--prompt-file", "/nonexistent"},
     "--prompt-file /nonexistent: cannot read it: No such file or directory"},
    {{"inspect"}, "file is required (see tandem inspect --help)"},
    {{"quantize", "a", "b"}, "TYPE is required (see tandem quantize --help)"},
    {{"quantize", "a", "b", "Q3"},
     "TYPE: \"Q3\" is not one of Q8_0, Q4_0, Q4_K"},
    {{"quantize", "a", "b", "Q8_0", "--threads", "x"},
     "--threads: \"x\" is not a whole number from 0 to 1024 (see tandem "
     "quantize --help)"},
    {{"tokenize", "t", "--model", "a", "--model-id", "b"},
     "--model and --model-id exclude each other (see tandem tokenize --help)"},
    {{"detokenize", "five"}, "\"five\" is no token id: write whole numbers"},
    {{"health", "--wait-ms", "-1"},
     "--wait-ms: \"-1\" is not a whole number from 0 to 86400000 (see tandem "
     "health --help)"},
    {{"admin", "models"},
     "--admin is required: the address that a worker has by --admin-listen"},
    {{"admin", "load"}, "file is required (see tandem admin load --help)"},
    {{"admin", "unload", "m", "--drain-timeout-ms", "1.5"},
     "--drain-timeout-ms: \"1.5\" is not a whole number from 0 to 3600000 (see "
     "tandem admin unload --help)"},
    {{"sessions"},
     "tandem sessions needs a command: list, show, delete (see tandem sessions "
     "--help)"},
    {{"sessions", "delete"},
     "session-id is required (see tandem sessions delete --help)"},
    {{"keys"},
     "tandem keys needs a command: new, list, revoke (see tandem keys "
     "--help)"},
    {{"keys", "new"}, "tenant is required (see tandem keys new --help)"},
    {{"keys", "new", "alice"},
     "--keys is required: the file that servers have by --keys"},
    {{"keys", "new", "Alice", "--keys", "/nonexistent/keys"},
     "tenant: \"Alice\" is not 1 to 64 of a-z, 0-9, \".\", \"_\" and \"-\""},
    {{"keys", "new", "alice", "--scope", "generat"},
     "--scope: \"generat\" is not one of generate, score, admin, metrics; did "
     "you mean generate? (see tandem keys new --help)"},
    {{"keys", "new", "alice", "--expires", "3", "--keys", "/nonexistent/keys"},
     "--expires: \"3\" is not a number of days (at most 36500) or hours from "
     "now, as 90d or 12h"},
    {{"keys", "new", "alice", "--expires", "0d", "--keys", "/nonexistent/keys"},
     "--expires: \"0d\" is not a number of days (at most 36500) or hours from "
     "now, as 90d or 12h"},
    {{"keys", "new", "alice", "--label", "a\nb", "--keys", "/nonexistent/keys"},
     "--label: takes at most 128 bytes of UTF-8 without control characters"},
    {{"keys", "new", "alice", "--keys", "/nonexistent/keys"},
     "--keys /nonexistent/keys: cannot be opened: No such file or directory"},
    {{"keys", "list", "--keys", "/nonexistent/keys"},
     "--keys /nonexistent/keys: cannot be read: No such file or directory"},
    {{"keys", "revoke", "--keys", "f"},
     "key-id is required (see tandem keys revoke --help)"},
    {{"models", "--key-file", "/nonexistent/key"},
     "--key-file /nonexistent/key: cannot read it: No such file or directory"},
    {{"models", "--key-file", "-", "--coordinator", "example.org:7070"},
     "--key-file: the key would go to --coordinator example.org:7070 in plain "
     "text; give --tls-ca: a key goes by TLS, to a loopback address or to a "
     "unix socket only"},
    {{"models", "--key-file", "-", "--http-proxy"},
     "--key-file: the key would go to --coordinator 127.0.0.1:7070 in plain "
     "text; give --tls-ca: a key goes by TLS, to a loopback address or to a "
     "unix socket only"},
    {{"models", "--key-file", "-"},
     "--key-file -: holds no API key: one is tandem_ and 43 characters"},
    {{"bench", "serve", "--sessions", "0"},
     "--sessions: \"0\" is not a whole number from 1 to 65536 (see tandem "
     "bench serve --help)"},
    {{"bench", "serve", "--rate", "nan"},
     "--rate: \"nan\" is not a number from 0.001 to 100000 (see tandem bench "
     "serve --help)"},
    {{"bench", "serve", "--seed", "x"},
     "--seed: \"x\" is not a whole number from 0 to 18446744073709551615 (see "
     "tandem bench serve --help)"},
    {{"bench", "serve", "--progress", "on"},
     "--progress: \"on\" is not one of auto, line, json, off (see tandem bench "
     "serve --help)"},
    {{"bench", "serve", "--sesions", "4"},
     "there is no flag \"--sesions\"; did you mean --sessions? (see tandem "
     "bench serve --help)"},
    {{"bench", "model", "m", "--rows", "1,x"},
     "--rows: \"x\" is not a whole number from 1 to 16777216 (see tandem bench "
     "model --help)"},
    {{"bench", "model", "m", "--numerics", "int4"},
     "--numerics: \"int4\" is not one of int8, int8+float, bf16, f32; did you "
     "mean int8? (see tandem bench model --help)"},
    {{"bench", "synthesize", "o", "--shape", "llama-7"},
     "--shape: \"llama-7\" is not one of llama-tiny, llama-160m, llama-1.1b, "
     "llama-3b, llama-7b, llama-8b, llama-13b; did you mean llama-7b? (see "
     "tandem bench synthesize --help)"},
    {{"bench", "synthesize", "o", "--shape", "llama-3b", "--layers", "0"},
     "--layers: \"0\" is not a whole number from 1 to 16777216 (see tandem "
     "bench synthesize --help)"}};

TEST(CommandLineTest, WrongUsageIsOneLineThatHelpsAndCodeTwo) {
  for (const WrongUsage& wrong : kWrong) {
    const RunResult result = RunTandem(wrong.arguments);
    EXPECT_EQ(result.code, 2) << ::testing::PrintToString(wrong.arguments);
    EXPECT_EQ(result.out, "");
    EXPECT_EQ(result.err, std::string("tandem: ") + wrong.message + "\n");
  }
}

TEST(CommandLineTest, OneLineHasNoBreaks) {
  EXPECT_EQ(OneLine(absl::InternalError("a\r\nb\nc")), "a b c");
  EXPECT_EQ(OneLine(absl::InternalError("")), "INTERNAL");
}

}  // namespace
}  // namespace tandem::cli
