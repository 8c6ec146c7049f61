// The certificates of a process: read and checked, watched for new files, and
// made credentials of. A handshake that begins after new files were taken uses
// them; connections and their streams are not touched.
//
// Files are looked at every second. What does not pass CheckCertificates is
// never used: the files before stay in use, and that is counted and logged.
//
// Owned by a server (or the command line's one connection), which makes it
// before its servers and channels and destroys it after them; any thread.

#ifndef TANDEM_SERVICES_IDENTITY_CERTIFICATE_STORE_H_
#define TANDEM_SERVICES_IDENTITY_CERTIFICATE_STORE_H_

#include <grpcpp/security/credentials.h>
#include <grpcpp/security/server_credentials.h>

#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "engine/base/monotonic_clock.h"
#include "engine/base/status.h"
#include "services/common/credentials.h"
#include "services/identity/certificate_files.h"
#include "services/identity/published_text.h"

namespace tandem {

// Between two looks at the files, of this class and of gRPC at what this class
// has taken: new files are in use after two of them at most.
inline constexpr absl::Duration kCertificateCheckInterval = absl::Seconds(1);

// Who shows a certificate to whom.
enum class CertificateUse {
  kServer,  // the process's servers, to their clients
  kClient,  // the process's channels, to their servers
};
// "server", "client".
const char* CertificateUseName(CertificateUse use);

struct CertificateState {
  CertificateUse use = CertificateUse::kServer;
  // When what is shown stops being valid; absl::InfiniteFuture(): nothing is
  // shown.
  absl::Time expiry;
  // How often files were found that can not be used, since the start.
  int64_t reload_failures = 0;
};

class CertificateStore {
 public:
  CertificateStore() = default;
  ~CertificateStore();

  CertificateStore(const CertificateStore&) = delete;
  CertificateStore& operator=(const CertificateStore&) = delete;

  // TLS 1.2 or later, or plaintext where `files` is empty. A server must be
  // given a certificate that its clients' authority signed, and the other way
  // round; a client checks the server's name too. Errors: INVALID_ARGUMENT of
  // CheckTlsFlags and certificate_files.h, INTERNAL of the system.
  absl::StatusOr<std::shared_ptr<grpc::ServerCredentials>> ForServer(
      const ServerTlsFiles& files);
  absl::StatusOr<std::shared_ptr<grpc::ChannelCredentials>> ForChannel(
      const ChannelTlsFiles& files);

  // Looks at all files now, whether they have changed or not, and logs what is
  // in use. What is not valid is logged and counted.
  void Reload();

  // One for each set of files, in the order of the calls that named them.
  std::vector<CertificateState> States() const;

 private:
  // A set of files in use.
  struct Entry {
    CertificateUse use = CertificateUse::kServer;
    CertificatePaths paths;
    CertificateTexts texts;  // in use
    absl::Time expiry;
    // Key and certificates in one text, so that they change together.
    PublishedText identity;
    PublishedText roots;
    std::shared_ptr<grpc::experimental::FileWatcherCertificateProvider>
        provider;
    // What was wrong at the last look; OK where nothing was.
    absl::Status problem;
    bool is_problem_reported = false;
    int64_t reload_failures = 0;
  };

  // The entry of these files, new or not.
  absl::StatusOr<Entry*> Find(CertificateUse use, const CertificatePaths& paths)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Watch();

  // Those for an entry hold its store's mutex_.
  //
  // Takes `texts` if they are valid now.
  static absl::Status Use(const CertificateTexts& texts, Entry* entry);
  static absl::Status Publish(const CertificateTexts& texts, Entry* entry);
  static void Look(Entry* entry);
  static void ReloadEntry(Entry* entry);
  static void ReportProblem(const absl::Status& problem, Entry* entry);

  TimedWait pause_;  // between two looks
  mutable absl::Mutex mutex_;
  std::vector<std::unique_ptr<Entry>> entries_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread watching_ ABSL_GUARDED_BY(mutex_);  // from the first entry on
};

}  // namespace tandem

#endif  // TANDEM_SERVICES_IDENTITY_CERTIFICATE_STORE_H_
