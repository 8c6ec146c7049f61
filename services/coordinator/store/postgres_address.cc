#include "services/coordinator/store/postgres_address.h"

#include <fcntl.h>
#include <libpq-fe.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstring>
#include <memory>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "engine/base/descriptor.h"
#include "engine/base/file_kind.h"

namespace tandem {
namespace {

constexpr size_t kPasswordBytesMax = 1024;

absl::Status Wrong(const std::string& path, absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat(path, ": ", what));
}

bool IsSecret(absl::string_view keyword) {
  return keyword == "password" || keyword == "sslpassword";
}

}  // namespace

bool IsPostgresAddress(absl::string_view address) {
  return absl::StartsWith(address, "postgres://") ||
         absl::StartsWith(address, "postgresql://");
}

// Nothing of a wrong address is repeated: it may hold a password.
absl::Status CheckPostgresAddress(const std::string& address) {
  const std::unique_ptr<PQconninfoOption, decltype(&PQconninfoFree)> options(
      IsPostgresAddress(address)
          ? PQconninfoParse(address.c_str(), /*errmsg=*/nullptr)
          : nullptr,
      &PQconninfoFree);
  if (options == nullptr) {
    return absl::InvalidArgumentError(
        "the store's address can not be read; write it as "
        "postgres://USER@HOST:PORT/DATABASE?sslmode=verify-full");
  }
  for (const PQconninfoOption* option = options.get();
       option->keyword != nullptr; ++option) {
    if (option->val != nullptr && IsSecret(option->keyword)) {
      return absl::InvalidArgumentError(absl::StrCat(
          "the store's address holds a ", option->keyword,
          ", which others can see; put it in a file and name that file"));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> ReadPasswordFile(const std::string& path) {
  if (path.empty()) return std::string();
  // A FIFO without a writer does not block.
  const Descriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  struct stat info;
  if (!file.is_open() || fstat(file.number(), &info) != 0) {
    return Wrong(path, absl::StrCat("can not be read (", strerror(errno),
                                    "); name a file that holds the password"));
  }
  if (!S_ISREG(info.st_mode)) {
    return Wrong(path, absl::StrCat("is ", FileKindName(info.st_mode),
                                    "; name a file that holds the password"));
  }
  if ((info.st_mode & S_IROTH) != 0) {
    return Wrong(path,
                 absl::StrCat("everybody may read it; run: chmod o-r ", path));
  }
  std::string password(kPasswordBytesMax, '\0');
  const ssize_t count = read(file.number(), password.data(), password.size());
  if (count < 0) {
    return Wrong(path, absl::StrCat("can not be read (", strerror(errno), ")"));
  }
  password.resize(static_cast<size_t>(count));
  if (absl::EndsWith(password, "\n")) password.pop_back();
  const bool is_line = password.find('\n') == std::string::npos &&
                       password.find('\0') == std::string::npos;
  if (password.empty() || password.size() >= kPasswordBytesMax || !is_line) {
    return Wrong(path, "does not hold a password, alone and in one line");
  }
  return password;
}

}  // namespace tandem
