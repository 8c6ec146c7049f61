#include "tools/tandem/base/key_input.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "engine/base/descriptor.h"
#include "engine/base/file_kind.h"
#include "engine/base/status.h"
#include "services/access/api_key.h"
#include "services/client/client.h"

namespace tandem::cli {
namespace {

// A key, its line end and some space; what has as much or more holds no key.
constexpr size_t kReadBytesMax = 256;
constexpr char kStandardInput[] = "-";

absl::Status Wrong(absl::string_view source, absl::string_view what) {
  return UsageError(absl::StrCat("--key-file ", source, ": ", what));
}

std::string ReadLine(std::istream* in) {
  std::string line;
  char c = 0;
  while (line.size() < kReadBytesMax && in->get(c) && c != '\n') {
    line.push_back(c);
  }
  return line;
}

absl::StatusOr<std::string> ReadFile(const std::string& path) {
  const Descriptor file(
      open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  struct stat info;
  if (!file.is_open() || fstat(file.number(), &info) != 0) {
    return Wrong(path, absl::StrCat("cannot read it: ", strerror(errno)));
  }
  if (!S_ISREG(info.st_mode)) {
    return Wrong(path, absl::StrCat("is ", FileKindName(info.st_mode),
                                    "; name the file that holds the key"));
  }
  // A group may: of a mounted secret the group is the pod's own.
  if ((info.st_mode & S_IRWXO) != 0) {
    return Wrong(path, "everybody on this machine may read the key; chmod 600");
  }
  std::string text(kReadBytesMax, '\0');
  const ssize_t got = read(file.number(), text.data(), text.size());
  if (got < 0) {
    return Wrong(path, absl::StrCat("cannot read it: ", strerror(errno)));
  }
  text.resize(static_cast<size_t>(got));
  return text;
}

}  // namespace

absl::StatusOr<std::string> ReadKey(const ConnectionFlags& connection) {
  const std::string& source = connection.key_file;
  if (source.empty() || !connection.key.empty()) return connection.key;
  std::string text;
  if (source == kStandardInput) {
    text = ReadLine(connection.input);
  } else {
    TANDEM_ASSIGN_OR_RETURN(text, ReadFile(source));
  }
  const std::string key(absl::StripAsciiWhitespace(text));
  // What stands there is not shown: it may be another secret.
  if (text.size() >= kReadBytesMax || !IsApiKey(key)) {
    return Wrong(
        source,
        absl::StrCat("holds no API key: one is ", kApiKeyPrefix, " and ",
                     kApiKeyBytes - strlen(kApiKeyPrefix), " characters"));
  }
  return key;
}

absl::Status CheckKeyMayGoTo(absl::string_view flag, absl::string_view address,
                             const ConnectionFlags& connection) {
  if (client::MayCarryKey({.address = std::string(address),
                           .tls = connection.tls,
                           .http_proxy = connection.http_proxy})) {
    return absl::OkStatus();
  }
  return UsageError(absl::StrCat(
      "--key-file: the key would go to ", flag, " ", address,
      " in plain text; give --tls-ca: a key goes by TLS, to a loopback address "
      "or to a unix socket only"));
}

}  // namespace tandem::cli
