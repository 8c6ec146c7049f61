// Key files for tests: written to a folder of their own, which goes with them.

#ifndef TANDEM_TESTS_SERVICES_ACCESS_KEY_FILES_H_
#define TANDEM_TESTS_SERVICES_ACCESS_KEY_FILES_H_

#include <sys/stat.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/check.h"
#include "services/access/api_key.h"
#include "services/access/key_file.h"

namespace tandem {

inline KeyFile OneTenantFile(const std::string& tenant,
                             const std::string& sha256,
                             std::set<Scope> scopes = {Scope::kGenerate}) {
  return {.tenants = {{.name = tenant,
                       .keys = {{.id = absl::StrCat(tenant, "-1"),
                                 .sha256 = sha256,
                                 .scopes = std::move(scopes)}}}}};
}

class TemporaryKeyFile {
 public:
  explicit TemporaryKeyFile(const KeyFile& file = {}) : folder_(MakeFolder()) {
    Replace(FormatKeyFile(file));
  }
  ~TemporaryKeyFile() { std::filesystem::remove_all(folder_); }

  TemporaryKeyFile(const TemporaryKeyFile&) = delete;
  TemporaryKeyFile& operator=(const TemporaryKeyFile&) = delete;

  std::string path() const { return folder_ + "/keys.json"; }
  const std::string& folder() const { return folder_; }

  // As programs replace files: another one takes the name.
  void Replace(const std::string& text) const {
    const std::string next = path() + ".next";
    std::ofstream(next) << text;
    TANDEM_CHECK(chmod(next.c_str(), 0600) == 0);
    TANDEM_CHECK(std::rename(next.c_str(), path().c_str()) == 0);
  }
  void Replace(const KeyFile& file) const { Replace(FormatKeyFile(file)); }

 private:
  static std::string MakeFolder() {
    std::string name =
        (std::filesystem::temp_directory_path() / "keys.XXXXXX").string();
    TANDEM_CHECK(mkdtemp(name.data()) != nullptr);
    return name;
  }

  const std::string folder_;
};

}  // namespace tandem

#endif  // TANDEM_TESTS_SERVICES_ACCESS_KEY_FILES_H_
