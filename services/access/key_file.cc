#include "services/access/key_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <map>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "engine/base/descriptor.h"
#include "engine/base/file_kind.h"
#include "engine/base/utf8.h"
#include "services/access/api_key.h"
#include "services/access/located_json.h"

namespace tandem {
namespace {

using Json = nlohmann::ordered_json;
using Kind = LocatedJson::Kind;

constexpr int64_t kFormatVersion = 1;
// Bytes of a time: RFC 3339 with a fraction and an offset.
constexpr size_t kTimeBytesMax = 40;
// Years of a time in UTC.
constexpr int64_t kYearMin = 1970;
constexpr int64_t kYearMax = 9999;
// What a limit of whole numbers may be: a double holds all of these.
constexpr int64_t kLimitMax = int64_t{1} << 53;
constexpr mode_t kOthersWrite = S_IWGRP | S_IWOTH;

struct LimitField {
  const char* name;
  int64_t KeyLimits::*value;
};
constexpr LimitField kLimitFields[] = {
    {"turns_max", &KeyLimits::turns_max},
    {"sessions_max", &KeyLimits::sessions_max},
    {"queued_tokens_max", &KeyLimits::queued_tokens_max},
    {"tokens_per_minute", &KeyLimits::tokens_per_minute}};
constexpr char kKvShare[] = "kv_share";

bool IsName(absl::string_view name, size_t characters_max) {
  return !name.empty() && name.size() <= characters_max &&
         std::all_of(name.begin(), name.end(), [](char c) {
           const auto byte = static_cast<unsigned char>(c);
           return absl::ascii_islower(byte) || absl::ascii_isdigit(byte) ||
                  c == '.' || c == '_' || c == '-';
         });
}

bool IsHash(absl::string_view text) {
  return text.size() == kApiKeyHashBytes &&
         std::all_of(text.begin(), text.end(), [](char c) {
           return absl::ascii_isdigit(static_cast<unsigned char>(c)) ||
                  (c >= 'a' && c <= 'f');
         });
}

std::string ScopeNames() {
  return absl::StrJoin(kScopes, ", ", [](std::string* out, Scope scope) {
    absl::StrAppend(out, ScopeName(scope));
  });
}

// A value of the file and its path: "tenants[0].keys[1].id".
struct Field {
  const LocatedJson* value = nullptr;
  std::string path = {};
};
using Fields = std::map<std::string, Field, std::less<>>;

// Reads the tree; the first thing that is wrong is the error.
class Reader {
 public:
  explicit Reader(absl::string_view file) : file_(file) {}

  absl::StatusOr<KeyFile> Read(const LocatedJson& root);

 private:
  // `at`, with an empty path, is the file's outermost value.
  absl::Status Wrong(const Field& at, absl::string_view what) const;
  absl::Status Want(const Field& at, Kind kind, absl::string_view what) const;
  // The members of an object: all of `required`, and no others than these and
  // `optional`.
  absl::StatusOr<Fields> MembersOf(
      const Field& object, const std::vector<std::string>& required,
      const std::vector<std::string>& optional) const;
  absl::StatusOr<std::vector<Field>> ElementsOf(const Field& array) const;
  absl::StatusOr<absl::Time> TimeOf(const Field& at) const;
  absl::StatusOr<std::set<Scope>> ScopesOf(const Field& at) const;
  absl::StatusOr<KeyLimits> LimitsOf(const Field& at) const;
  absl::StatusOr<ApiKeyEntry> KeyOf(const Field& at);
  absl::StatusOr<KeyFileTenant> TenantOf(const Field& at);

  const absl::string_view file_;
  std::set<std::string> tenants_;
  std::set<std::string> ids_;
  std::set<std::string> hashes_;
};

absl::Status Reader::Wrong(const Field& at, absl::string_view what) const {
  return MalformedFile(absl::StrCat(file_, ":", at.value->line, ": ",
                                    at.path.empty() ? "the file" : at.path,
                                    ": ", what));
}

absl::Status Reader::Want(const Field& at, Kind kind,
                          absl::string_view what) const {
  if (at.value->kind == kind) return absl::OkStatus();
  return Wrong(at, absl::StrCat("must be ", what));
}

absl::StatusOr<Fields> Reader::MembersOf(
    const Field& object, const std::vector<std::string>& required,
    const std::vector<std::string>& optional) const {
  TANDEM_RETURN_IF_ERROR(Want(object, Kind::kObject, "an object"));
  std::vector<std::string> known = required;
  known.insert(known.end(), optional.begin(), optional.end());
  Fields fields;
  for (size_t i = 0; i < object.value->names.size(); ++i) {
    const std::string& name = object.value->names[i];
    Field field = {.value = &object.value->children[i],
                   .path = object.path.empty()
                               ? name
                               : absl::StrCat(object.path, ".", name)};
    if (std::find(known.begin(), known.end(), name) == known.end()) {
      // A name may be anything: it is not repeated where it is long.
      if (!IsName(name, kTenantNameCharactersMax)) field.path = object.path;
      return Wrong(field, absl::StrCat("is no known field; known are ",
                                       absl::StrJoin(known, ", ")));
    }
    fields.emplace(name, std::move(field));
  }
  for (const std::string& name : required) {
    if (fields.count(name) > 0) continue;
    return Wrong(object, absl::StrCat("lacks the field \"", name, "\""));
  }
  return fields;
}

absl::StatusOr<std::vector<Field>> Reader::ElementsOf(
    const Field& array) const {
  TANDEM_RETURN_IF_ERROR(Want(array, Kind::kArray, "a list"));
  std::vector<Field> elements;
  for (const LocatedJson& child : array.value->children) {
    elements.push_back(
        {.value = &child,
         .path = absl::StrCat(array.path, "[", elements.size(), "]")});
  }
  return elements;
}

absl::StatusOr<absl::Time> Reader::TimeOf(const Field& at) const {
  const std::string& text = at.value->text;
  absl::Time time;
  if (at.value->kind == Kind::kString && text.size() <= kTimeBytesMax &&
      absl::ParseTime(absl::RFC3339_full, text, &time, nullptr)) {
    // Abseil also takes "infinite-future", and years of any length.
    const int64_t year = absl::ToCivilYear(time, absl::UTCTimeZone()).year();
    if (year >= kYearMin && year <= kYearMax) return time;
  }
  return Wrong(at, "must be a time like \"2027-02-28T12:00:00Z\" (RFC 3339)");
}

absl::StatusOr<std::set<Scope>> Reader::ScopesOf(const Field& at) const {
  TANDEM_ASSIGN_OR_RETURN(const std::vector<Field> elements, ElementsOf(at));
  std::set<Scope> scopes;
  for (const Field& element : elements) {
    const std::optional<Scope> scope = element.value->kind == Kind::kString
                                           ? ParseScope(element.value->text)
                                           : std::nullopt;
    if (!scope.has_value()) {
      return Wrong(element, absl::StrCat("must be one of ", ScopeNames()));
    }
    if (!scopes.insert(*scope).second) {
      return Wrong(element, "stands there twice; take one out");
    }
  }
  if (scopes.empty()) {
    return Wrong(at, absl::StrCat("must have at least one of ", ScopeNames()));
  }
  return scopes;
}

absl::StatusOr<KeyLimits> Reader::LimitsOf(const Field& at) const {
  std::vector<std::string> names = {kKvShare};
  for (const LimitField& field : kLimitFields) names.push_back(field.name);
  TANDEM_ASSIGN_OR_RETURN(const Fields fields, MembersOf(at, {}, names));
  KeyLimits limits;
  for (const LimitField& field : kLimitFields) {
    const auto found = fields.find(field.name);
    if (found == fields.end()) continue;
    const std::optional<int64_t> whole = found->second.value->whole;
    if (!whole.has_value() || *whole < 0 || *whole > kLimitMax) {
      return Wrong(found->second,
                   "must be a whole number of at least 0 (0: no limit of the "
                   "tenant's own)");
    }
    limits.*field.value = *whole;
  }
  if (const auto share = fields.find(kKvShare); share != fields.end()) {
    const LocatedJson& value = *share->second.value;
    if (value.kind != Kind::kNumber || !(value.number >= 0) ||
        value.number > 1) {
      return Wrong(share->second,
                   "must be a number from 0 to 1 (0: no limit of the tenant's "
                   "own)");
    }
    limits.kv_share = value.number;
  }
  return limits;
}

absl::StatusOr<ApiKeyEntry> Reader::KeyOf(const Field& at) {
  TANDEM_ASSIGN_OR_RETURN(const Fields fields,
                          MembersOf(at, {"id", "sha256", "scopes", "created"},
                                    {"label", "expires"}));
  ApiKeyEntry key;
  const Field& id = fields.at("id");
  key.id = id.value->text;
  if (!IsName(key.id, kKeyIdCharactersMax)) {
    return Wrong(id, absl::StrCat("must be 1 to ", kKeyIdCharactersMax,
                                  " of a-z, 0-9, \".\", \"_\" and \"-\""));
  }
  if (!ids_.insert(key.id).second) {
    return Wrong(id, "another key has this id; ids tell keys apart");
  }
  const Field& hash = fields.at("sha256");
  key.sha256 = hash.value->text;
  if (!IsHash(key.sha256)) {
    return Wrong(hash,
                 "must be the key's SHA-256 in 64 lower-case hexadecimal "
                 "digits, as `tandem keys new` writes it");
  }
  if (!hashes_.insert(key.sha256).second) {
    return Wrong(hash, "stands there twice; a key has one tenant and one id");
  }
  TANDEM_ASSIGN_OR_RETURN(key.scopes, ScopesOf(fields.at("scopes")));
  TANDEM_ASSIGN_OR_RETURN(key.created, TimeOf(fields.at("created")));
  if (const auto expires = fields.find("expires"); expires != fields.end()) {
    TANDEM_ASSIGN_OR_RETURN(key.expires, TimeOf(expires->second));
  }
  if (const auto label = fields.find("label"); label != fields.end()) {
    key.label = label->second.value->text;
    if (label->second.value->kind != Kind::kString || !IsKeyLabel(key.label)) {
      return Wrong(label->second,
                   absl::StrCat("must be a text of at most ", kKeyLabelBytesMax,
                                " bytes without control characters"));
    }
  }
  return key;
}

absl::StatusOr<KeyFileTenant> Reader::TenantOf(const Field& at) {
  TANDEM_ASSIGN_OR_RETURN(const Fields fields,
                          MembersOf(at, {"name", "keys"}, {"limits"}));
  KeyFileTenant tenant;
  const Field& name = fields.at("name");
  tenant.name = name.value->text;
  if (!IsTenantName(tenant.name)) {
    return Wrong(name, absl::StrCat("must be 1 to ", kTenantNameCharactersMax,
                                    " of a-z, 0-9, \".\", \"_\" and \"-\""));
  }
  if (!tenants_.insert(tenant.name).second) {
    return Wrong(name, "another tenant has this name; put their keys together");
  }
  if (const auto limits = fields.find("limits"); limits != fields.end()) {
    TANDEM_ASSIGN_OR_RETURN(tenant.limits, LimitsOf(limits->second));
  }
  const Field& keys = fields.at("keys");
  TANDEM_ASSIGN_OR_RETURN(const std::vector<Field> elements, ElementsOf(keys));
  if (elements.size() > kKeysPerTenantMax) {
    return Wrong(keys,
                 absl::StrCat("has ", elements.size(),
                              " keys, a tenant has at most ", kKeysPerTenantMax,
                              "; take one out with `tandem keys revoke "
                              "KEY_ID`"));
  }
  for (const Field& element : elements) {
    TANDEM_ASSIGN_OR_RETURN(ApiKeyEntry key, KeyOf(element));
    tenant.keys.push_back(std::move(key));
  }
  return tenant;
}

absl::StatusOr<KeyFile> Reader::Read(const LocatedJson& root) {
  TANDEM_ASSIGN_OR_RETURN(
      const Fields fields,
      MembersOf({.value = &root}, {"version", "tenants"}, {}));
  const Field& version = fields.at("version");
  if (version.value->whole != kFormatVersion) {
    return Wrong(version, absl::StrCat("must be ", kFormatVersion,
                                       ", the format that this program knows"));
  }
  TANDEM_ASSIGN_OR_RETURN(const std::vector<Field> elements,
                          ElementsOf(fields.at("tenants")));
  KeyFile file;
  for (const Field& element : elements) {
    TANDEM_ASSIGN_OR_RETURN(KeyFileTenant tenant, TenantOf(element));
    file.tenants.push_back(std::move(tenant));
  }
  return file;
}

Json KeyJson(const ApiKeyEntry& key) {
  Json json = {{"id", key.id}};
  if (!key.label.empty()) json["label"] = key.label;
  json["sha256"] = key.sha256;
  json["scopes"] = Json::array();
  for (const Scope scope : key.scopes) {
    json["scopes"].push_back(std::string(ScopeName(scope)));
  }
  json["created"] = FormatKeyTime(key.created);
  if (key.expires != absl::InfiniteFuture()) {
    json["expires"] = FormatKeyTime(key.expires);
  }
  return json;
}

Json LimitsJson(const KeyLimits& limits) {
  Json json = Json::object();
  for (const LimitField& field : kLimitFields) {
    if (limits.*field.value != 0) json[field.name] = limits.*field.value;
  }
  if (limits.kv_share != 0) json[kKvShare] = limits.kv_share;
  return json;
}

int64_t Nanoseconds(const timespec& time) {
  return int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

FileStamp StampOf(const struct stat& info) {
  return {.device = info.st_dev,
          .inode = info.st_ino,
          .bytes = info.st_size,
          .modified_ns = Nanoseconds(info.st_mtim),
          .changed_ns = Nanoseconds(info.st_ctim)};
}

}  // namespace

absl::string_view ScopeName(Scope scope) {
  switch (scope) {
    case Scope::kGenerate:
      return "generate";
    case Scope::kScore:
      return "score";
    case Scope::kAdmin:
      return "admin";
    case Scope::kMetrics:
      return "metrics";
  }
  return "";
}

std::optional<Scope> ParseScope(absl::string_view name) {
  for (const Scope scope : kScopes) {
    if (name == ScopeName(scope)) return scope;
  }
  return std::nullopt;
}

bool IsTenantName(absl::string_view name) {
  return IsName(name, kTenantNameCharactersMax);
}

bool IsKeyLabel(absl::string_view label) {
  if (label.size() > kKeyLabelBytesMax) return false;
  while (!label.empty()) {
    const Utf8Prefix next = FirstUtf8(label);
    const auto first = static_cast<unsigned char>(label[0]);
    if (next.kind != Utf8Prefix::Kind::kCharacter ||
        absl::ascii_iscntrl(first)) {
      return false;
    }
    label.remove_prefix(next.bytes);
  }
  return true;
}

std::string FormatKeyTime(absl::Time time) {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", time, absl::UTCTimeZone());
}

absl::StatusOr<KeyFile> ParseKeyFile(absl::string_view text,
                                     absl::string_view name) {
  if (text.size() > kKeyFileBytesMax) {
    return MalformedFile(absl::StrCat(name, ": has more than ",
                                      kKeyFileBytesMax,
                                      " bytes: it is no file of keys"));
  }
  if (absl::StripAsciiWhitespace(text).empty()) {
    return MalformedFile(absl::StrCat(
        name, ": is empty; `tandem keys new TENANT` makes the first key"));
  }
  const absl::StatusOr<LocatedJson> root = ParseLocatedJson(text);
  if (!root.ok()) {
    return MalformedFile(
        absl::StrCat(name, ":", std::string(root.status().message())));
  }
  return Reader(name).Read(*root);
}

std::string FormatKeyFile(const KeyFile& file) {
  Json tenants = Json::array();
  for (const KeyFileTenant& tenant : file.tenants) {
    Json json = {{"name", tenant.name}};
    if (tenant.limits != KeyLimits())
      json["limits"] = LimitsJson(tenant.limits);
    json["keys"] = Json::array();
    for (const ApiKeyEntry& key : tenant.keys) {
      json["keys"].push_back(KeyJson(key));
    }
    tenants.push_back(std::move(json));
  }
  const Json root = {{"version", kFormatVersion}, {"tenants", tenants}};
  return root.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::optional<FileStamp> StampOfFile(const std::string& path) {
  struct stat info;
  if (stat(path.c_str(), &info) != 0) return std::nullopt;
  return StampOf(info);
}

absl::StatusOr<KeyFileText> ReadKeyFileText(const std::string& path) {
  const auto wrong = [&path](absl::string_view what) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": ", what));
  };
  // Of a FIFO, opening would wait for a writer.
  const Descriptor file(
      open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  struct stat info;
  if (!file.is_open() || fstat(file.number(), &info) != 0) {
    return wrong(absl::StrCat("cannot be read: ", strerror(errno)));
  }
  if (!S_ISREG(info.st_mode)) {
    return wrong(absl::StrCat("is ", FileKindName(info.st_mode),
                              ", not a file of keys"));
  }
  if ((info.st_mode & kOthersWrite) != 0) {
    return wrong(
        "others than its owner may write it, and so make themselves keys; "
        "chmod go-w it");
  }
  KeyFileText read = {.text = std::string(kKeyFileBytesMax + 1, '\0'),
                      .stamp = StampOf(info)};
  size_t bytes = 0;
  while (bytes < read.text.size()) {
    const ssize_t got = ::read(file.number(), read.text.data() + bytes,
                               read.text.size() - bytes);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0)
      return wrong(absl::StrCat("cannot be read: ", strerror(errno)));
    if (got == 0) break;
    bytes += static_cast<size_t>(got);
  }
  read.text.resize(bytes);
  return read;
}

}  // namespace tandem
