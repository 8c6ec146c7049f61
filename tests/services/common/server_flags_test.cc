#include "services/common/server_flags.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <vector>

#include "absl/strings/str_cat.h"
#include "services/common/flag_values.h"

namespace tandem {
namespace {

using ::testing::HasSubstr;

class ServerFlagsTest : public ::testing::Test {
 protected:
  ~ServerFlagsTest() override {
    for (const char* name :
         {"TANDEM_LISTEN", "TANDEM_LOG_FORMAT", "TANDEM_INSECURE_LISTEN",
          "TANDEM_LIMIT", "TANDEM_DRAIN_TIMEOUT_MS"}) {
      unsetenv(name);
    }
    if (!config_.empty()) std::remove(config_.c_str());
  }

  // Parses; standard error is in error_.
  std::optional<int> Parse(std::vector<const char*> arguments) {
    CLI::App app("A test", "tandem-test");
    flags_ = ServerFlags();
    flags_.listen = "127.0.0.1:1";
    limit_ = 5;
    AddServerFlags(&app, &flags_);
    app.add_option("--limit", limit_)->check(WholeNumber(1, 10));
    arguments.insert(arguments.begin(), "tandem-test");
    ::testing::internal::CaptureStderr();
    ::testing::internal::CaptureStdout();
    const std::optional<int> code =
        ParseFlags(&app, static_cast<int>(arguments.size()), arguments.data());
    output_ = ::testing::internal::GetCapturedStdout();
    error_ = ::testing::internal::GetCapturedStderr();
    return code;
  }

  const char* Config(const std::string& content) {
    config_ = absl::StrCat(::testing::TempDir(), "flags-", getpid(), ".ini");
    std::ofstream(config_) << content;
    return config_.c_str();
  }

  void ExpectUsageError(const std::optional<int>& code,
                        const std::string& part) {
    EXPECT_EQ(code, kExitUsage);
    EXPECT_THAT(error_, HasSubstr(part));
    EXPECT_THAT(error_, HasSubstr("tandem-test: "));
    EXPECT_EQ(error_.find('\n'), error_.size() - 1) << "one line: " << error_;
  }

  ServerFlags flags_;
  int limit_ = 0;
  std::string output_;
  std::string error_;
  std::string config_;
};

TEST_F(ServerFlagsTest, DefaultsAndCommandLine) {
  EXPECT_EQ(Parse({}), std::nullopt);
  EXPECT_EQ(flags_.listen, "127.0.0.1:1");
  EXPECT_EQ(flags_.log_format, "text");
  EXPECT_EQ(flags_.sandbox, "on");
  EXPECT_FALSE(flags_.core_dumps);
  EXPECT_FALSE(flags_.insecure_listen);
  EXPECT_EQ(Parse({"--listen",
                   "[::1]:2",
                   "--address-file",
                   "f",
                   "--tls-cert",
                   "c",
                   "--tls-key",
                   "k",
                   "--tls-client-ca",
                   "a",
                   "--insecure-listen",
                   "--reflection",
                   "--keys",
                   "keys.json",
                   "--log-format=json",
                   "--log-level",
                   "debug",
                   "--drain-timeout-ms",
                   "0",
                   "--sandbox",
                   "report",
                   "--core-dumps",
                   "--limit",
                   "7"}),
            std::nullopt);
  EXPECT_EQ(flags_.listen, "[::1]:2");
  EXPECT_EQ(flags_.address_file, "f");
  EXPECT_EQ(flags_.tls.cert, "c");
  EXPECT_EQ(flags_.tls.key, "k");
  EXPECT_EQ(flags_.tls.client_ca, "a");
  EXPECT_TRUE(flags_.insecure_listen);
  EXPECT_TRUE(flags_.reflection);
  EXPECT_EQ(flags_.keys, "keys.json");
  EXPECT_EQ(flags_.log_format, "json");
  EXPECT_EQ(flags_.log_level, "debug");
  EXPECT_EQ(flags_.drain_timeout_ms, 0);
  EXPECT_EQ(flags_.sandbox, "report");
  EXPECT_TRUE(flags_.core_dumps);
  EXPECT_EQ(limit_, 7);
}

TEST_F(ServerFlagsTest, HelpAndVersion) {
  EXPECT_EQ(Parse({"--help"}), kExitOk);
  EXPECT_THAT(output_, HasSubstr("--listen"));
  EXPECT_THAT(output_, HasSubstr("TANDEM_LISTEN"));
  EXPECT_EQ(Parse({"--version"}), kExitOk);
  EXPECT_THAT(output_, HasSubstr("0.1.0"));
}

TEST_F(ServerFlagsTest, WrongCommandLine) {
  ExpectUsageError(Parse({"--no-such-flag"}), "--no-such-flag");
  ExpectUsageError(Parse({"stray"}), "stray");
  ExpectUsageError(Parse({"--limit", "11"}), "--limit");
  ExpectUsageError(Parse({"--limit", "x"}), "--limit");
  ExpectUsageError(Parse({"--listen"}), "--listen");
  ExpectUsageError(Parse({"--log-format", "xml"}), "--log-format");
  ExpectUsageError(Parse({"--log-level", "loud"}), "--log-level");
  ExpectUsageError(Parse({"--drain-timeout-ms", "-1"}), "--drain-timeout-ms");
  ExpectUsageError(Parse({"--sandbox", "yes"}), "--sandbox");
}

TEST_F(ServerFlagsTest, Environment) {
  setenv("TANDEM_LISTEN", "localhost:9", 1);
  setenv("TANDEM_INSECURE_LISTEN", "true", 1);
  setenv("TANDEM_LIMIT", "9", 1);
  EXPECT_EQ(Parse({}), std::nullopt);
  EXPECT_EQ(flags_.listen, "localhost:9");
  EXPECT_TRUE(flags_.insecure_listen);
  EXPECT_EQ(limit_, 9);
  EXPECT_EQ(Parse({"--limit", "2"}), std::nullopt);
  EXPECT_EQ(limit_, 2) << "the command line comes first";
  setenv("TANDEM_LIMIT", "11", 1);
  ExpectUsageError(Parse({}),
                   "TANDEM_LIMIT (the same as --limit): \"11\" is not a whole "
                   "number from 1 to 10 (see tandem-test --help)");
}

TEST_F(ServerFlagsTest, ConfigFile) {
  const char* path = Config(
      "limit = 3\nlisten=\"localhost:8\"\n# comment\n"
      "insecure-listen=true\n");
  EXPECT_EQ(Parse({"--config", path}), std::nullopt) << error_;
  EXPECT_EQ(limit_, 3);
  EXPECT_EQ(flags_.listen, "localhost:8");
  EXPECT_TRUE(flags_.insecure_listen);
  EXPECT_EQ(Parse({"--config", path, "--limit", "2"}), std::nullopt);
  EXPECT_EQ(limit_, 2);
  setenv("TANDEM_LIMIT", "9", 1);
  EXPECT_EQ(Parse({"--config", path}), std::nullopt);
  EXPECT_EQ(limit_, 9) << "the environment comes before the file";
}

TEST_F(ServerFlagsTest, WrongConfigFile) {
  ExpectUsageError(Parse({"--config", "/no/such/file"}), "/no/such/file");
  ExpectUsageError(Parse({"--config", Config("no-such-key = 1\n")}),
                   ":1: there is no key \"no-such-key\"");
  ExpectUsageError(Parse({"--config", Config("# c\n\nlimt = 1\n")}),
                   ":3: there is no key \"limt\"; did you mean limit?");
  ExpectUsageError(Parse({"--config", Config("[section]\nlimit = 1\n")}),
                   "remove [section]");
  ExpectUsageError(Parse({"--config", Config("# c\n\"limit\" = 11\n")}),
                   ".ini:2: --limit: \"11\" is not a whole number");
  ExpectUsageError(Parse({"--config", Config("limit = x\n")}),
                   ".ini:1: --limit: \"x\" is not a whole number");
  ExpectUsageError(Parse({"--config", Config("reflection = maybe\n")}),
                   "--reflection");
}

TEST_F(ServerFlagsTest, AConfigFileThatIsNoneEnds) {
  ExpectUsageError(Parse({"--config", "/dev/zero"}),
                   "/dev/zero: the file has more than 1048576 bytes");
  ExpectUsageError(Parse({"--config", ::testing::TempDir().c_str()}),
                   "can not read");
}

TEST_F(ServerFlagsTest, MisspelledFlags) {
  ExpectUsageError(Parse({"--lisen", "127.0.0.1:1"}),
                   "there is no flag \"--lisen\"; did you mean --listen?");
  ExpectUsageError(Parse({"--log-level", "warn"}),
                   "--log-level: \"warn\" is not one of debug, info, warning, "
                   "error; did you mean warning?");
  ExpectUsageError(Parse({"--reflection=maybe"}), "--reflection");
}

TEST_F(ServerFlagsTest, CheckNamesListenAndTls) {
  ServerFlags flags;
  flags.listen = "0.0.0.0:1";
  EXPECT_THAT(std::string(CheckServerFlags(flags).message()),
              HasSubstr("--insecure-listen"));
  flags.insecure_listen = true;
  EXPECT_TRUE(CheckServerFlags(flags).ok());
  flags.tls.cert = "missing.pem";
  EXPECT_THAT(std::string(CheckServerFlags(flags).message()),
              HasSubstr("--tls-key"));
}

TEST_F(ServerFlagsTest, AServerWithoutTlsHasNoFlagsForIt) {
  CLI::App app("A test", "tandem-test");
  ServerFlags flags;
  AddPlainServerFlags(&app, &flags);
  for (const char* name : {"--listen", "--metrics-listen", "--sandbox",
                           "--drain-timeout-ms", "--config"}) {
    EXPECT_NE(app.get_option_no_throw(name), nullptr) << name;
  }
  for (const char* name :
       {"--tls-cert", "--keys", "--reflection", "--insecure-listen"}) {
    EXPECT_EQ(app.get_option_no_throw(name), nullptr) << name;
  }
}

TEST_F(ServerFlagsTest, UsageErrorIsOneLine) {
  ::testing::internal::CaptureStderr();
  EXPECT_EQ(PrintUsageError("program", absl::NotFoundError("a\nb\n")),
            kExitUsage);
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "program: a b\n");
}

}  // namespace
}  // namespace tandem
