#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "engine/base/descriptor.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "services/access/key_file.h"
#include "tests/services/access/key_files.h"
#include "tests/tools/run_tandem.h"

namespace tandem::cli {
namespace {

using ::testing::HasSubstr;
using ::testing::MatchesRegex;
using ::testing::Not;

class KeysTest : public ::testing::Test {
 protected:
  KeysTest() { std::filesystem::remove(file_.path()); }

  // `tandem keys ARGUMENTS`
  RunResult Keys(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), "keys");
    arguments.push_back("--keys=" + file_.path());
    return RunTandem(arguments);
  }
  std::string New(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), "new");
    const RunResult result = Keys(arguments);
    EXPECT_EQ(result.code, 0) << result.err;
    EXPECT_EQ(result.out.back(), '\n');
    return result.out.substr(0, result.out.size() - 1);
  }
  KeyFile Content() const {
    const auto read = ReadKeyFileText(file_.path());
    EXPECT_TRUE(read.ok()) << read.status();
    auto content = ParseKeyFile(read->text, "keys.json");
    EXPECT_TRUE(content.ok()) << content.status();
    return *std::move(content);
  }
  mode_t Mode() const {
    struct stat info;
    EXPECT_EQ(stat(file_.path().c_str(), &info), 0);
    return info.st_mode & 07777;
  }

  const TemporaryKeyFile file_;
};

TEST_F(KeysTest, NewPrintsTheKeyAndKeepsItsHash) {
  const RunResult result =
      Keys({"new", "alice", "--scope", "generate,admin", "--label", "laptop"});
  EXPECT_EQ(result.code, 0) << result.err;
  const std::string key = result.out.substr(0, result.out.size() - 1);
  EXPECT_TRUE(IsApiKey(key)) << result.out;
  EXPECT_THAT(result.err,
              MatchesRegex("key [0-9a-f]+ of alice, scopes generate,admin, "
                           "without an end; it is not shown again\n"));
  EXPECT_THAT(result.err, Not(HasSubstr(key)));
  EXPECT_EQ(Mode(), 0600u);
  const KeyFile content = Content();
  ASSERT_EQ(content.tenants.size(), 1u);
  EXPECT_EQ(content.tenants[0].name, "alice");
  const ApiKeyEntry& entry = content.tenants[0].keys.at(0);
  EXPECT_EQ(entry.sha256, HashOfApiKey(key));
  EXPECT_EQ(entry.label, "laptop");
  EXPECT_EQ(entry.scopes, (std::set<Scope>{Scope::kGenerate, Scope::kAdmin}));
  EXPECT_EQ(entry.expires, absl::InfiniteFuture());
  EXPECT_LT(absl::Now() - entry.created, absl::Minutes(10));
}

TEST_F(KeysTest, ScopesMayBeRepeatedAndHaveADefault) {
  New({"alice", "--scope=score", "--scope=metrics"});
  New({"bob"});
  const KeyFile content = Content();
  EXPECT_EQ(content.tenants[0].keys[0].scopes,
            (std::set<Scope>{Scope::kScore, Scope::kMetrics}));
  EXPECT_EQ(content.tenants[1].keys[0].scopes,
            std::set<Scope>{Scope::kGenerate});
}

TEST_F(KeysTest, KeysExpireAfterDaysOrHours) {
  const absl::Time before = absl::Now();
  New({"alice", "--expires", "90d"});
  New({"alice", "--expires=12h"});
  const std::vector<ApiKeyEntry> keys = Content().tenants[0].keys;
  EXPECT_LT(keys[0].expires - before - absl::Hours(90 * 24), absl::Minutes(10));
  EXPECT_GT(keys[0].expires - before - absl::Hours(90 * 24), -absl::Seconds(2));
  EXPECT_LT(keys[1].expires - before - absl::Hours(12), absl::Minutes(10));
  EXPECT_GT(keys[1].expires - before - absl::Hours(12), -absl::Seconds(2));
}

TEST_F(KeysTest, AThirdKeyIsRefusedUntilOneIsRevoked) {
  New({"alice"});
  New({"alice"});
  const std::vector<ApiKeyEntry> keys = Content().tenants[0].keys;
  const RunResult third = Keys({"new", "alice"});
  EXPECT_EQ(third.code, 1);
  EXPECT_EQ(third.out, "");
  EXPECT_EQ(third.err,
            absl::StrCat("tandem: alice has two live keys, ", keys[0].id,
                         " and ", keys[1].id,
                         ": once clients use the newer one, `tandem keys "
                         "revoke` takes the other out\n"));
  const RunResult revoked = Keys({"revoke", keys[0].id});
  EXPECT_EQ(revoked.code, 0) << revoked.err;
  EXPECT_EQ(revoked.out, keys[0].id + " of alice is revoked\n");
  EXPECT_EQ(Content().tenants[0].keys[0].id, keys[1].id);
  New({"alice"});
  EXPECT_EQ(Content().tenants[0].keys.size(), 2u);
}

TEST_F(KeysTest, ExpiredKeysMakeRoomAndLimitsStay) {
  KeyFile content = OneTenantFile("alice", std::string(64, 'a'));
  content.tenants[0].limits.turns_max = 5;
  content.tenants[0].keys[0].expires = absl::UnixEpoch();
  content.tenants[0].keys.push_back({.id = "alice-2",
                                     .sha256 = std::string(64, 'b'),
                                     .scopes = {Scope::kGenerate}});
  file_.Replace(content);
  const RunResult result = Keys({"new", "alice"});
  EXPECT_EQ(result.code, 0);
  EXPECT_THAT(result.err, HasSubstr("alice-1 has expired and is gone\n"));
  const KeyFile after = Content();
  EXPECT_EQ(after.tenants[0].limits.turns_max, 5);
  ASSERT_EQ(after.tenants[0].keys.size(), 2u);
  EXPECT_EQ(after.tenants[0].keys[0].id, "alice-2");
}

TEST_F(KeysTest, RevokeNamesAKeyThatIsNotThere) {
  New({"alice"});
  const RunResult result = Keys({"revoke", "nobody"});
  EXPECT_EQ(result.code, 1);
  EXPECT_EQ(result.err,
            absl::StrCat("tandem: there is no key \"nobody\" in ", file_.path(),
                         ": `tandem keys list` shows the ids\n"));
  const RunResult missing =
      RunTandem({"keys", "revoke", "x", "--keys", file_.folder() + "/none"});
  EXPECT_EQ(missing.code, 2);
  EXPECT_FALSE(std::filesystem::exists(file_.folder() + "/none"));
}

TEST_F(KeysTest, ListShowsKeysWithoutTheirSecrets) {
  const std::string key = New({"alice", "--label=on call", "--expires=1d"});
  KeyFile content = Content();
  content.tenants.push_back(
      OneTenantFile("bob", std::string(64, 'b'), {Scope::kScore}).tenants[0]);
  content.tenants[1].keys[0].expires = absl::UnixEpoch();
  file_.Replace(content);
  const RunResult text = Keys({"list"});
  EXPECT_EQ(text.code, 0) << text.err;
  EXPECT_THAT(text.out, HasSubstr("alice"));
  EXPECT_THAT(text.out, HasSubstr("on call"));
  const RunResult json = Keys({"list", "--json"});
  for (const std::string& out : {text.out, json.out}) {
    EXPECT_THAT(out, Not(HasSubstr(key)));
    EXPECT_THAT(out, Not(HasSubstr(HashOfApiKey(key))));
  }
  const auto keys = nlohmann::json::parse(json.out)["keys"];
  ASSERT_EQ(keys.size(), 2u);
  EXPECT_EQ(keys[0]["tenant"], "alice");
  EXPECT_EQ(keys[0]["id"], content.tenants[0].keys[0].id);
  EXPECT_EQ(keys[0]["scopes"], nlohmann::json({"generate"}));
  EXPECT_EQ(keys[0]["state"], "live");
  EXPECT_EQ(keys[1]["state"], "expired");
  EXPECT_EQ(keys[1]["expires"], "1970-01-01T00:00:00Z");
}

TEST_F(KeysTest, AListOfNoKeysIsEmpty) {
  file_.Replace(KeyFile());
  EXPECT_EQ(Keys({"list"}).out, "");
  EXPECT_EQ(Keys({"list", "--json"}).out, "{\"keys\":[]}\n");
}

TEST_F(KeysTest, AMalformedFileIsNamedAndKept) {
  file_.Replace("{\"version\": 1,\n\"tenant\": []}");
  for (const std::vector<std::string>& command :
       {std::vector<std::string>{"list"}, {"new", "alice"}, {"revoke", "x"}}) {
    const RunResult result = Keys(command);
    EXPECT_EQ(result.code, 1);
    EXPECT_THAT(result.err,
                HasSubstr("keys.json:2: tenant: is no known field"));
  }
  EXPECT_EQ(ReadKeyFileText(file_.path())->text,
            "{\"version\": 1,\n\"tenant\": []}");
}

TEST_F(KeysTest, TheFileKeepsItsModeAndItsLink) {
  New({"alice"});
  ASSERT_EQ(chmod(file_.path().c_str(), 0640), 0);
  const std::string link = file_.folder() + "/link";
  std::filesystem::create_symlink(file_.path(), link);
  EXPECT_EQ(RunTandem({"keys", "new", "bob", "--keys", link}).code, 0);
  EXPECT_TRUE(std::filesystem::is_symlink(link));
  EXPECT_EQ(Mode(), 0640u);
  EXPECT_EQ(Content().tenants.size(), 2u);
  ASSERT_EQ(chmod(file_.path().c_str(), 0660), 0);
  EXPECT_THAT(Keys({"new", "carol"}).err,
              HasSubstr("others than its owner may write it"));
}

// Each of many at once finds what the others have written.
TEST_F(KeysTest, EditsAtTheSameTimeAreAllKept) {
  constexpr int kEditors = 8;
  std::vector<std::thread> editors;
  for (int i = 0; i < kEditors; ++i) {
    editors.emplace_back([this, i] { New({absl::StrCat("tenant-", i)}); });
  }
  for (std::thread& editor : editors) editor.join();
  EXPECT_EQ(Content().tenants.size(), size_t{kEditors});
}

TEST_F(KeysTest, WaitsForAnotherEdit) {
  New({"alice"});
  const Descriptor other(open(file_.path().c_str(), O_RDWR));
  ASSERT_EQ(flock(other.number(), LOCK_EX), 0);
  std::thread editor([this] { New({"bob"}); });
  absl::SleepFor(absl::Milliseconds(100));
  EXPECT_EQ(Content().tenants.size(), 1u);
  ASSERT_EQ(flock(other.number(), LOCK_UN), 0);
  editor.join();
  EXPECT_EQ(Content().tenants.size(), 2u);
}

}  // namespace
}  // namespace tandem::cli
