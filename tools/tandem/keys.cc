// tandem keys: makes, lists and revokes the API keys of a key file. A server
// that runs with the file (--keys) sees a change within a second.

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "CLI/App.hpp"
#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "engine/base/descriptor.h"
#include "engine/base/output_file.h"
#include "engine/base/status.h"
#include "services/access/api_key.h"
#include "services/access/key_file.h"
#include "services/common/flag_messages.h"
#include "services/common/flag_values.h"
#include "tools/tandem/base/output.h"
#include "tools/tandem/command_line.h"

namespace tandem::cli {
namespace {

constexpr mode_t kKeyFileMode = 0600;
// Another `tandem keys` is done within milliseconds.
constexpr absl::Duration kLockTimeout = absl::Seconds(10);
constexpr absl::Duration kLockPoll = absl::Milliseconds(20);
// Digits of the hash that are a new key's id: 48 bits, so that no two of a file
// are alike.
constexpr size_t kIdDigits = 12;
constexpr int kExpiresDaysMax = 36500;

struct KeysFlags {
  std::string file;
  std::string tenant;
  std::vector<std::string> scopes = {std::string(ScopeName(Scope::kGenerate))};
  std::string expires;
  std::string label;
  std::string key_id;
  bool json = false;
};

absl::Status CheckFileGiven(const KeysFlags& flags) {
  if (!flags.file.empty()) return absl::OkStatus();
  return UsageError("--keys is required: the file that servers have by --keys");
}

absl::StatusOr<KeyFile> ReadKeyFile(const std::string& path) {
  const absl::StatusOr<KeyFileText> read = ReadKeyFileText(path);
  if (!read.ok()) {
    return UsageError(
        absl::StrCat("--keys ", std::string(read.status().message())));
  }
  return ParseKeyFile(read->text, path);
}

// A key file that no other `tandem keys` edits meanwhile.
class LockedKeyFile {
 public:
  enum class Missing { kIsAnError, kIsMade };

  static absl::StatusOr<LockedKeyFile> Open(const std::string& path,
                                            Missing missing) {
    const int make = missing == Missing::kIsMade ? O_CREAT : 0;
    const absl::Time end = absl::Now() + kLockTimeout;
    while (true) {
      Descriptor lock(open(path.c_str(), O_RDWR | O_CLOEXEC | O_NOCTTY | make,
                           kKeyFileMode));
      if (!lock.is_open()) {
        return UsageError(absl::StrCat(
            "--keys ", path, ": cannot be opened: ", strerror(errno)));
      }
      // A file that was replaced while this one waited is another one.
      if (flock(lock.number(), LOCK_EX | LOCK_NB) == 0 && IsStill(lock, path)) {
        return Read(path, std::move(lock));
      }
      if (absl::Now() >= end) {
        return absl::UnavailableError(
            absl::StrCat(path, ": another `tandem keys` edits it; try again"));
      }
      absl::SleepFor(kLockPoll);
    }
  }

  // What Write writes.
  KeyFile* content() { return &content_; }

  absl::Status Write() const {
    const std::string text = FormatKeyFile(content_);
    // Nothing is written that a server would refuse: a file too large, say.
    TANDEM_RETURN_IF_ERROR(ParseKeyFile(text, path_).status());
    TANDEM_ASSIGN_OR_RETURN(const std::unique_ptr<OutputFile> file,
                            OutputFile::Create(path_));
    TANDEM_RETURN_IF_ERROR(file->Append(text));
    return file->Commit();
  }

 private:
  LockedKeyFile(std::string path, Descriptor lock, KeyFile content)
      : path_(std::move(path)),
        lock_(std::move(lock)),
        content_(std::move(content)) {}

  static bool IsStill(const Descriptor& lock, const std::string& path) {
    struct stat locked;
    struct stat named;
    return fstat(lock.number(), &locked) == 0 &&
           stat(path.c_str(), &named) == 0 && locked.st_dev == named.st_dev &&
           locked.st_ino == named.st_ino;
  }

  static absl::StatusOr<LockedKeyFile> Read(const std::string& path,
                                            Descriptor lock) {
    struct stat info;
    const bool is_new = fstat(lock.number(), &info) == 0 && info.st_size == 0;
    KeyFile content;
    if (!is_new) {
      TANDEM_ASSIGN_OR_RETURN(content, ReadKeyFile(path));
    }
    return LockedKeyFile(path, std::move(lock), std::move(content));
  }

  std::string path_;
  Descriptor lock_;
  KeyFile content_;
};

// "90d", "12h".
absl::StatusOr<absl::Time> ParseExpires(const std::string& text,
                                        absl::Time now) {
  if (text.empty()) return absl::InfiniteFuture();
  const absl::string_view digits =
      absl::string_view(text).substr(0, text.size() - 1);
  int64_t count = 0;
  const bool is_count =
      std::all_of(digits.begin(), digits.end(),
                  [](unsigned char c) { return absl::ascii_isdigit(c); }) &&
      absl::SimpleAtoi(digits, &count);
  const char unit = text.back();
  const int64_t count_max =
      unit == 'h' ? int64_t{24} * kExpiresDaysMax : kExpiresDaysMax;
  if (!is_count || (unit != 'd' && unit != 'h') || count < 1 ||
      count > count_max) {
    return UsageError(absl::StrCat(
        "--expires: ", QuotedValue(text), " is not a number of days (at most ",
        kExpiresDaysMax, ") or hours from now, as 90d or 12h"));
  }
  return now + absl::Hours(unit == 'h' ? count : 24 * count);
}

std::string ScopesText(const std::set<Scope>& scopes) {
  return absl::StrJoin(scopes, ",", [](std::string* out, Scope scope) {
    absl::StrAppend(out, ScopeName(scope));
  });
}

// The tenant of this name; a new one at the end where there is none.
KeyFileTenant* FindOrAddTenant(const std::string& name, KeyFile* file) {
  for (KeyFileTenant& tenant : file->tenants) {
    if (tenant.name == name) return &tenant;
  }
  file->tenants.push_back({.name = name});
  return &file->tenants.back();
}

// Makes room for one more key: those that have expired go.
absl::Status MakeRoom(KeyFileTenant* tenant, absl::Time now, const Io& io) {
  if (tenant->keys.size() < kKeysPerTenantMax) return absl::OkStatus();
  for (const ApiKeyEntry& key : tenant->keys) {
    if (key.expires <= now) *io.err << key.id << " has expired and is gone\n";
  }
  std::erase_if(tenant->keys,
                [now](const ApiKeyEntry& key) { return key.expires <= now; });
  if (tenant->keys.size() < kKeysPerTenantMax) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(
      tenant->name, " has two live keys, ",
      absl::StrJoin(tenant->keys, " and ",
                    [](std::string* out, const ApiKeyEntry& key) {
                      absl::StrAppend(out, key.id);
                    }),
      ": once clients use the newer one, `tandem keys revoke` takes the other "
      "out"));
}

absl::Status RunNew(const KeysFlags& flags, const ConnectionFlags&,
                    const Io& io) {
  TANDEM_RETURN_IF_ERROR(CheckFileGiven(flags));
  if (!IsTenantName(flags.tenant)) {
    return UsageError(absl::StrCat("tenant: ", QuotedValue(flags.tenant),
                                   " is not 1 to ", kTenantNameCharactersMax,
                                   " of a-z, 0-9, \".\", \"_\" and \"-\""));
  }
  if (!IsKeyLabel(flags.label)) {
    return UsageError(absl::StrCat("--label: takes at most ", kKeyLabelBytesMax,
                                   " bytes of UTF-8 without control "
                                   "characters"));
  }
  const absl::Time now = absl::Now();
  TANDEM_ASSIGN_OR_RETURN(const absl::Time expires,
                          ParseExpires(flags.expires, now));
  TANDEM_ASSIGN_OR_RETURN(
      LockedKeyFile file,
      LockedKeyFile::Open(flags.file, LockedKeyFile::Missing::kIsMade));
  KeyFileTenant* const tenant = FindOrAddTenant(flags.tenant, file.content());
  TANDEM_RETURN_IF_ERROR(MakeRoom(tenant, now, io));
  const std::string key = DrawApiKey();
  ApiKeyEntry entry = {.id = HashOfApiKey(key).substr(0, kIdDigits),
                       .label = flags.label,
                       .sha256 = HashOfApiKey(key),
                       .created = now,
                       .expires = expires};
  for (const std::string& scope : flags.scopes) {
    entry.scopes.insert(*ParseScope(scope));
  }
  tenant->keys.push_back(entry);
  TANDEM_RETURN_IF_ERROR(file.Write());
  *io.out << key << "\n";
  *io.err << "key " << entry.id << " of " << flags.tenant << ", scopes "
          << ScopesText(entry.scopes) << ", "
          << (flags.expires.empty() ? std::string("without an end")
                                    : "until " + FormatKeyTime(expires))
          << "; it is not shown again\n";
  return absl::OkStatus();
}

absl::Status RunRevoke(const KeysFlags& flags, const ConnectionFlags&,
                       const Io& io) {
  TANDEM_RETURN_IF_ERROR(CheckFileGiven(flags));
  TANDEM_ASSIGN_OR_RETURN(
      LockedKeyFile file,
      LockedKeyFile::Open(flags.file, LockedKeyFile::Missing::kIsAnError));
  for (KeyFileTenant& tenant : file.content()->tenants) {
    const size_t erased = std::erase_if(
        tenant.keys,
        [&flags](const ApiKeyEntry& key) { return key.id == flags.key_id; });
    if (erased == 0) continue;
    TANDEM_RETURN_IF_ERROR(file.Write());
    *io.out << flags.key_id << " of " << tenant.name << " is revoked\n";
    return absl::OkStatus();
  }
  return absl::NotFoundError(
      absl::StrCat("there is no key ", QuotedValue(flags.key_id), " in ",
                   flags.file, ": `tandem keys list` shows the ids"));
}

Json KeyJson(const KeyFileTenant& tenant, const ApiKeyEntry& key,
             absl::Time now) {
  Json json = {{"id", key.id},
               {"tenant", tenant.name},
               {"scopes", ScopesText(key.scopes)},
               {"created", FormatKeyTime(key.created)},
               {"expires", nullptr},
               {"state", key.expires > now ? "live" : "expired"},
               {"label", key.label}};
  if (key.expires != absl::InfiniteFuture()) {
    json["expires"] = FormatKeyTime(key.expires);
  }
  return json;
}

absl::Status RunList(const KeysFlags& flags, const ConnectionFlags&,
                     const Io& io) {
  TANDEM_RETURN_IF_ERROR(CheckFileGiven(flags));
  TANDEM_ASSIGN_OR_RETURN(const KeyFile file, ReadKeyFile(flags.file));
  const absl::Time now = absl::Now();
  Json keys = Json::array();
  for (const KeyFileTenant& tenant : file.tenants) {
    for (const ApiKeyEntry& key : tenant.keys) {
      keys.push_back(KeyJson(tenant, key, now));
      if (!flags.json) continue;
      keys.back()["scopes"] = Json::array();
      for (const Scope scope : key.scopes) {
        keys.back()["scopes"].push_back(std::string(ScopeName(scope)));
      }
    }
  }
  if (flags.json) {
    PrintJson({{"keys", keys}}, io.out);
  } else {
    PrintReport({{"keys", keys}}, io.out);
  }
  return absl::OkStatus();
}

void AddNewCommand(CLI::App* keys, const std::shared_ptr<KeysFlags>& flags,
                   CommandLine* line) {
  std::vector<std::string> scopes;
  for (const Scope scope : kScopes) scopes.emplace_back(ScopeName(scope));
  CLI::App* command = keys->add_subcommand(
      "new", "Makes a key for a tenant and prints it, this once.");
  command
      ->add_option("tenant", flags->tenant,
                   "Whose key it is; a tenant has at most two")
      ->required();
  command
      ->add_option("--scope", flags->scopes,
                   "What the key allows, with commas between")
      ->delimiter(',')
      ->check(OneOf(scopes))
      ->capture_default_str();
  command->add_option("--expires", flags->expires,
                      "How long the key is good: days or hours, as 90d or 12h; "
                      "default: without an end");
  command->add_option("--label", flags->label,
                      "A note to know the key by, shown by keys list");
  SetExamples(command,
              {"tandem keys new alice --keys keys.json --expires 90d",
               "tandem keys new prometheus --scope metrics --keys keys.json",
               "tandem keys new ops --scope admin,generate --label 'on call' "
               "--keys keys.json"});
  RunWhenChosen(command, flags, RunNew, line);
}

void AddListCommand(CLI::App* keys, const std::shared_ptr<KeysFlags>& flags,
                    CommandLine* line) {
  CLI::App* command = keys->add_subcommand(
      "list", "Lists the keys by their ids, never the keys themselves.");
  command->add_flag("--json", flags->json, "Prints {\"keys\": [...]}");
  SetExamples(command, {"tandem keys list --keys keys.json",
                        "tandem keys list --json --keys keys.json"});
  RunWhenChosen(command, flags, RunList, line);
}

void AddRevokeCommand(CLI::App* keys, const std::shared_ptr<KeysFlags>& flags,
                      CommandLine* line) {
  CLI::App* command = keys->add_subcommand(
      "revoke",
      "Takes a key out: no call or turn begins with it a second later.");
  command->add_option("key-id", flags->key_id, "The key, as keys list shows it")
      ->required();
  SetExamples(command, {"tandem keys revoke 0f3a5c7e9b1d --keys keys.json"});
  RunWhenChosen(command, flags, RunRevoke, line);
}

}  // namespace

void AddKeysCommand(CLI::App* app, CommandLine* line) {
  auto flags = std::make_shared<KeysFlags>();
  CLI::App* keys = app->add_subcommand(
      "keys", "Makes, lists and revokes the API keys of a key file.");
  keys->require_subcommand(1);
  keys->fallthrough();  // --keys may stand after the subcommand
  keys->add_option("--keys", flags->file,
                   "The key file, which servers have by --keys")
      ->envname("TANDEM_KEYS");
  AddNewCommand(keys, flags, line);
  AddListCommand(keys, flags, line);
  AddRevokeCommand(keys, flags, line);
  SetExamples(keys, {"tandem keys new alice --keys keys.json --expires 90d",
                     "tandem keys list --keys keys.json",
                     "tandem keys revoke 0f3a5c7e9b1d --keys keys.json"});
}

}  // namespace tandem::cli
