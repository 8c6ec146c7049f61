// tandem up: what is refused before anything is started. That it serves is
// tests/system/up_test.py.

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "services/common/listen/listening_sockets.h"
#include "tests/engine/model/tiny_model.h"
#include "tests/tools/run_tandem.h"

namespace tandem::cli {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

const char kTarget[] =
    TANDEM_SOURCE_DIR "/deploy/models/tales-target-q8_0.gguf";
const char kDraft[] = TANDEM_SOURCE_DIR "/deploy/models/tales-draft-q8_0.gguf";

// One line that begins with "tandem: " and has `part` in it.
void ExpectError(std::vector<std::string> arguments, int code,
                 const std::string& part) {
  arguments.insert(arguments.begin(), "up");
  const RunResult result = RunTandem(arguments);
  EXPECT_EQ(result.code, code) << result.err;
  EXPECT_EQ(result.out, "");
  EXPECT_THAT(result.err, StartsWith("tandem: "));
  EXPECT_THAT(result.err, HasSubstr(part));
  EXPECT_EQ(result.err.find('\n'), result.err.size() - 1) << result.err;
}

TEST(UpTest, ModelsThatCanNotBeServed) {
  ExpectError({}, 2, "MODEL is required");
  ExpectError({""}, 2, "the name of the model's file is empty");
  ExpectError({"/nowhere/m.gguf"}, 1, "/nowhere/m.gguf: ");
  // As other tools name models.
  ExpectError({"llama3.2"}, 1, "tandem downloads nothing");
  ExpectError({TANDEM_SOURCE_DIR "/README.md"}, 1, "README.md");
  ExpectError({::testing::TempDir()}, 1, ::testing::TempDir());
  ExpectError({kTarget, kDraft}, 2, "is one argument too many");
}

TEST(UpTest, DraftsThatCanNotBeUsed) {
  ExpectError({kTarget, "--draft", "/nowhere/d.gguf"}, 1,
              "--draft: /nowhere/d.gguf: ");
  ExpectError({kTarget, "--draft", kTarget}, 2, "is the model itself");
  ExpectError({kTarget, "--draft", ""}, 2, "--draft is empty");
  const std::string path =
      absl::StrCat(::testing::TempDir(), "up_test_", getpid(), ".gguf");
  std::ofstream(path, std::ios::binary)
      << TinyModel(TinyModelSpec()).Serialize();
  ExpectError({kTarget, "--draft", path}, 1,
              "the first token that differs is ");
  std::filesystem::remove(path);
}

TEST(UpTest, AddressesThatCanNotBeUsed) {
  ExpectError({kTarget, "--listen", "7070"}, 2,
              "--listen 7070: is not host:port");
  ExpectError({kTarget, "--http-listen", "localhost"}, 2,
              "--http-listen localhost: is not host:port");
  ExpectError({kTarget, "--listen", "0.0.0.0:7070"}, 2,
              "--listen 0.0.0.0:7070: others could reach it");
  ExpectError(
      {kTarget, "--listen", "127.0.0.1:0", "--http-listen", "unix:/tmp/http"},
      2, "--http-listen unix:/tmp/http: must be HOST:PORT");
}

TEST(UpTest, AnAddressThatIsTakenIsNamedWithItsFlag) {
  const auto taken = ListeningSockets::Open("--listen", "127.0.0.1:0");
  ASSERT_TRUE(taken.ok()) << taken.status();
  const std::string& address = (*taken)->address();
  ExpectError({kTarget, "--listen", address, "--http-listen", "127.0.0.1:0"}, 2,
              absl::StrCat("--listen ", address, ": is in use"));
  ExpectError({kTarget, "--listen", "127.0.0.1:0", "--http-listen", address}, 2,
              absl::StrCat("--http-listen ", address, ": is in use"));
}

}  // namespace
}  // namespace tandem::cli
