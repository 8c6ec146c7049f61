#include "services/identity/certificate_store.h"

#include <grpc/grpc_security_constants.h>
#include <grpcpp/security/tls_certificate_provider.h>
#include <grpcpp/security/tls_certificate_verifier.h>
#include <grpcpp/security/tls_credentials_options.h>
#include <spdlog/spdlog.h>

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"

namespace tandem {
namespace {

using ::grpc::experimental::FileWatcherCertificateProvider;

constexpr unsigned int kProviderIntervalSeconds = 1;

// What an entry shows and whom it trusts, for the log.
std::string FilesText(const CertificatePaths& paths) {
  return paths.cert.empty() ? paths.roots : paths.cert;
}

std::string ValidityText(absl::Time expiry) {
  return expiry == absl::InfiniteFuture()
             ? ""
             : absl::StrCat(", valid until ", TimeText(expiry));
}

}  // namespace

const char* CertificateUseName(CertificateUse use) {
  return use == CertificateUse::kServer ? "server" : "client";
}

CertificateStore::~CertificateStore() {
  std::thread watching;
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
    pause_.Notify();
    watching = std::move(watching_);
  }
  if (watching.joinable()) watching.join();
}

absl::StatusOr<std::shared_ptr<grpc::ServerCredentials>>
CertificateStore::ForServer(const ServerTlsFiles& files) {
  TANDEM_RETURN_IF_ERROR(CheckTlsFlags(files));
  if (files.cert.empty()) return grpc::InsecureServerCredentials();
  absl::MutexLock lock(&mutex_);
  TANDEM_ASSIGN_OR_RETURN(
      const Entry* entry,
      Find(CertificateUse::kServer,
           {.cert = files.cert, .key = files.key, .roots = files.client_ca}));
  grpc::experimental::TlsServerCredentialsOptions options(entry->provider);
  options.watch_identity_key_cert_pairs();
  if (!files.client_ca.empty()) {
    options.watch_root_certs();
    options.set_cert_request_type(
        GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY);
  }
  return grpc::experimental::TlsServerCredentials(options);
}

absl::StatusOr<std::shared_ptr<grpc::ChannelCredentials>>
CertificateStore::ForChannel(const ChannelTlsFiles& files) {
  TANDEM_RETURN_IF_ERROR(CheckTlsFlags(files));
  if (files.ca.empty()) return grpc::InsecureChannelCredentials();
  absl::MutexLock lock(&mutex_);
  TANDEM_ASSIGN_OR_RETURN(
      const Entry* entry,
      Find(CertificateUse::kClient,
           {.cert = files.cert, .key = files.key, .roots = files.ca}));
  grpc::experimental::TlsChannelCredentialsOptions options;
  options.set_certificate_provider(entry->provider);
  options.watch_root_certs();
  if (!files.cert.empty()) options.watch_identity_key_cert_pairs();
  options.set_certificate_verifier(
      std::make_shared<grpc::experimental::HostNameCertificateVerifier>());
  return grpc::experimental::TlsCredentials(options);
}

absl::StatusOr<CertificateStore::Entry*> CertificateStore::Find(
    CertificateUse use, const CertificatePaths& paths) {
  for (const std::unique_ptr<Entry>& entry : entries_) {
    if (entry->use == use && entry->paths == paths) return entry.get();
  }
  auto entry = std::make_unique<Entry>();
  entry->use = use;
  entry->paths = paths;
  TANDEM_ASSIGN_OR_RETURN(const CertificateTexts texts,
                          ReadCertificates(paths));
  TANDEM_ASSIGN_OR_RETURN(entry->expiry,
                          CheckCertificates(paths, texts, absl::Now()));
  TANDEM_RETURN_IF_ERROR(Publish(texts, entry.get()));
  entry->provider = std::make_shared<FileWatcherCertificateProvider>(
      entry->identity.path(), entry->identity.path(), entry->roots.path(),
      kProviderIntervalSeconds);
  if (entries_.empty()) {
    watching_ = std::thread([this] { Watch(); });
  }
  entries_.push_back(std::move(entry));
  return entries_.back().get();
}

absl::Status CertificateStore::Publish(const CertificateTexts& texts,
                                       Entry* entry) {
  if (!texts.cert.empty()) {
    TANDEM_RETURN_IF_ERROR(entry->identity.Set(IdentityText(texts)));
  }
  if (!texts.roots.empty()) {
    TANDEM_RETURN_IF_ERROR(entry->roots.Set(texts.roots));
  }
  entry->texts = texts;
  return absl::OkStatus();
}

absl::Status CertificateStore::Use(const CertificateTexts& texts,
                                   Entry* entry) {
  TANDEM_ASSIGN_OR_RETURN(const absl::Time expiry,
                          CheckCertificates(entry->paths, texts, absl::Now()));
  if (texts == entry->texts) return absl::OkStatus();
  TANDEM_RETURN_IF_ERROR(Publish(texts, entry));
  entry->expiry = expiry;
  spdlog::info("certificates: new files are used, {}{}",
               FilesText(entry->paths), ValidityText(expiry));
  return absl::OkStatus();
}

void CertificateStore::ReportProblem(const absl::Status& problem,
                                     Entry* entry) {
  entry->problem = problem;
  entry->is_problem_reported = true;
  ++entry->reload_failures;
  spdlog::error("certificates: those before stay in use{}: {}",
                ValidityText(entry->expiry), std::string(problem.message()));
}

void CertificateStore::Look(Entry* entry) {
  const absl::StatusOr<CertificateTexts> texts = ReadCertificates(entry->paths);
  absl::Status status = texts.status();
  if (status.ok() && *texts != entry->texts) status = Use(*texts, entry);
  if (status == entry->problem) {
    if (!status.ok() && !entry->is_problem_reported) {
      ReportProblem(status, entry);
    }
    return;
  }
  // Files that are written one after the other do not fit for a moment: what
  // is wrong is reported when it is the same at the next look.
  entry->problem = status;
  entry->is_problem_reported = false;
}

void CertificateStore::ReloadEntry(Entry* entry) {
  const absl::StatusOr<CertificateTexts> texts = ReadCertificates(entry->paths);
  const absl::Status status = texts.ok() ? Use(*texts, entry) : texts.status();
  if (!status.ok()) return ReportProblem(status, entry);
  entry->problem = status;
  spdlog::info("certificates: read again, in use is {}{}",
               FilesText(entry->paths), ValidityText(entry->expiry));
}

void CertificateStore::Reload() {
  absl::MutexLock lock(&mutex_);
  if (entries_.empty()) {
    spdlog::info("certificates: there are none to read again");
  }
  for (const std::unique_ptr<Entry>& entry : entries_) {
    ReloadEntry(entry.get());
  }
}

std::vector<CertificateState> CertificateStore::States() const {
  std::vector<CertificateState> states;
  absl::MutexLock lock(&mutex_);
  for (const std::unique_ptr<Entry>& entry : entries_) {
    states.push_back({.use = entry->use,
                      .expiry = entry->expiry,
                      .reload_failures = entry->reload_failures});
  }
  return states;
}

void CertificateStore::Watch() {
  const auto is_over = [this]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
    return stopping_;
  };
  absl::MutexLock lock(&mutex_);
  while (!pause_.Await(&mutex_, MonotonicNow() + kCertificateCheckInterval,
                       is_over)) {
    for (const std::unique_ptr<Entry>& entry : entries_) Look(entry.get());
  }
}

}  // namespace tandem
