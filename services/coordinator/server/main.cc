// tandem-coordinator: holds clients' sessions and drives their turns over draft
// and target workers.

#include <spdlog/spdlog.h>

#include <CLI/CLI.hpp>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/reply/reply_format.h"
#include "services/common/flag_messages.h"
#include "services/common/flag_values.h"
#include "services/common/listen/listening.h"
#include "services/common/logging.h"
#include "services/common/process_exit.h"
#include "services/common/sandbox/sandbox.h"
#include "services/common/server_flags.h"
#include "services/common/signals.h"
#include "services/coordinator/server/coordinator_server.h"
#include "services/coordinator/store/state_folder.h"

namespace tandem {
namespace {

constexpr char kProgram[] = "tandem-coordinator";

struct Flags {
  ServerFlags server;
  CoordinatorOptions coordinator;
  int64_t session_idle_seconds = 3600;
  int64_t generate_idle_seconds = 300;
  int64_t queue_timeout_ms = 30000;
  int64_t client_stall_ms = 2000;
  int64_t append_idle_ms = 30000;
  int64_t resolve_interval_ms = 5000;
  int64_t connection_age_max_seconds = 0;
  int64_t connection_age_grace_seconds = 30;  // as the time to drain
  std::string store;
  int64_t state_keep_hours = 720;
  std::vector<std::string> reply_formats;
};

// Where sessions outlive the process.
void AddStoreFlags(CLI::App* app, Flags* flags) {
  StoreOptions& options = flags->coordinator.store;
  app->add_option("--state-dir", options.state_dir,
                  "Folder for a database of sessions and turns, which then "
                  "outlive this process; made if it is not there; absent, and "
                  "without --store: they end with the process");
  app->add_option("--store", flags->store,
                  "The same in a PostgreSQL database, which coordinators may "
                  "share: postgres://USER@HOST/DATABASE, without a password");
  app->add_option("--store-password-file",
                  options.postgres.address.password_file,
                  "File whose first line is the password of --store");
  app->add_flag("--allow-loss", options.postgres.allow_loss,
                "Take a database that may lose what it has committed (fsync "
                "or full_page_writes off)");
  app->add_option("--state-keep-hours", flags->state_keep_hours,
                  "How long a session is kept in the database after its last "
                  "turn; one that a Generate made, and that had no second "
                  "turn, an hour at most")
      ->check(WholeNumber(int64_t{1}, int64_t{10} * 365 * 24))
      ->capture_default_str();
}

// What one tenant may take; 0: no limit of its own.
void AddTenantFlags(CLI::App* app, TenantLimits* limits) {
  const auto add = [app](const char* name, int64_t* value, const char* what) {
    app->add_option(
           name, *value,
           std::string(what) + ", at this coordinator; 0: no limit of its own")
        ->check(WholeNumber(int64_t{0}, int64_t{1} << 50))
        ->capture_default_str();
  };
  add("--tenant-turns-max", &limits->turns_max,
      "Turns of one tenant running at once");
  add("--tenant-sessions-max", &limits->sessions_max,
      "Sessions of one tenant kept at once; one more ends the one that was "
      "idle for longest");
  add("--tenant-queued-tokens-max", &limits->queued_tokens_max,
      "Tokens of one tenant's prompts that wait for their first token");
  add("--tenant-tokens-per-minute", &limits->tokens_per_minute,
      "Tokens of one tenant a minute, of prompts and generated");
}

void AddMemoryFlags(CLI::App* app, Flags* flags) {
  app->add_option("--memory-max-bytes", flags->coordinator.memory_bytes_max,
                  "Memory kept for clients: sessions, texts that wait, and "
                  "what all share; at the bound idle sessions end. 0: a "
                  "quarter of the container's or the machine's")
      ->check(WholeNumber(int64_t{0}, int64_t{1} << 50))
      ->capture_default_str();
  app->add_option("--client-stall-ms", flags->client_stall_ms,
                  "A turn whose client has not read for this long gives its "
                  "KV back where others wait for it, and goes on when the "
                  "client reads")
      ->check(WholeNumber(int64_t{100}, int64_t{3600000}))
      ->capture_default_str();
  app->add_option("--append-idle-ms", flags->append_idle_ms,
                  "A prompt that comes in parts gives its KV back when no part "
                  "has come for this long; the next one takes it again")
      ->check(WholeNumber(int64_t{100}, int64_t{600000}))
      ->capture_default_str();
  app->add_option("--generate-idle-seconds", flags->generate_idle_seconds,
                  "The same of a session that a Generate made, until its "
                  "second turn; no longer than --session-idle-seconds")
      ->check(WholeNumber(int64_t{1}, int64_t{365} * 86400))
      ->capture_default_str();
}

// A day is more than any use of it, and fits gRPC's milliseconds.
void AddConnectionFlags(CLI::App* app, Flags* flags) {
  app->add_option("--connection-age-max-seconds",
                  flags->connection_age_max_seconds,
                  "Age at which a client's connection gets no new calls, so "
                  "that clients spread again over the coordinators of a name; "
                  "a tenth more or less, by chance; 0: none")
      ->check(WholeNumber(int64_t{0}, int64_t{86400}))
      ->capture_default_str();
  app->add_option("--connection-age-grace-seconds",
                  flags->connection_age_grace_seconds,
                  "How long such a connection's calls may go on; then they "
                  "end, and their turns wait to be resumed")
      ->check(WholeNumber(int64_t{0}, int64_t{86400}))
      ->capture_default_str();
}

void AddFlags(CLI::App* app, Flags* flags) {
  CoordinatorOptions& options = flags->coordinator;
  flags->server.listen = options.listen;
  app->add_option("--target", options.workers.targets,
                  "Addresses of target workers, comma separated; "
                  "dns:///NAME:PORT stands for all addresses of a name")
      ->delimiter(',')
      ->check(NotEmpty("an address"))
      ->required();
  app->add_option("--draft", options.workers.drafts,
                  "Addresses of draft workers, in the same way")
      ->delimiter(',')
      ->check(NotEmpty("an address"));
  app->add_option("--resolve-interval-ms", flags->resolve_interval_ms,
                  "Time between looking up the dns:/// names again")
      ->check(WholeNumber(kResolveIntervalMin.count(), int64_t{3600} * 1000))
      ->capture_default_str();
  app->add_option("--sessions-max", options.sessions.sessions_max,
                  "Sessions kept at once")
      ->check(WholeNumber(1, std::numeric_limits<int>::max()))
      ->capture_default_str();
  app->add_option("--turns-max", options.turns_max, "Turns running at once")
      ->check(WholeNumber(1, std::numeric_limits<int>::max()))
      ->capture_default_str();
  app->add_option("--queue-timeout-ms", flags->queue_timeout_ms,
                  "Milliseconds that a turn waits for room at the target "
                  "workers; 0: not at all")
      ->check(WholeNumber(int64_t{0}, int64_t{3600000}))
      ->capture_default_str();
  app->add_option("--session-idle-seconds", flags->session_idle_seconds,
                  "How long a session is kept after its last turn")
      ->check(WholeNumber(int64_t{1}, int64_t{365} * 86400))
      ->capture_default_str();
  app->add_flag("--draft-ahead,!--no-draft-ahead",
                options.turn_limits.draft_ahead,
                "Let drafters go on while their draft is verified (default); "
                "only where workers do not share cores by --compute-turn");
  app->add_option("--reply-format", flags->reply_formats,
                  absl::StrCat("How models write calls of tools, where their "
                               "chat templates do not show it: one of ",
                               ReplyFormatNames(),
                               "; MODEL=NAME for one model alone; repeat"));
  app->add_option("--worker-ca", options.worker_tls.ca,
                  "Roots for the workers' certificates (PEM); TLS to workers");
  app->add_option("--worker-cert", options.worker_tls.cert,
                  "Certificate shown to workers (PEM)");
  app->add_option("--worker-key", options.worker_tls.key, "Its key (PEM)");
  AddStoreFlags(app, flags);
  AddMemoryFlags(app, flags);
  AddTenantFlags(app, &options.tenant_limits);
  AddConnectionFlags(app, flags);
  AddServerFlags(app, &flags->server);
  SetExamples(
      app, {"tandem-coordinator --target 127.0.0.1:7071",
            "tandem-coordinator --target 127.0.0.1:7071 --draft 127.0.0.1:7072",
            "tandem-coordinator --target 127.0.0.1:7071 --state-dir "
            "/var/lib/tandem",
            "tandem-coordinator --target dns:///targets:7071 --listen "
            "unix:/tmp/tandem.sock"});
}

// What the coordinator opens beyond the flags that all servers have.
FileAccess FilesOf(const CoordinatorOptions& options) {
  FileAccess access;
  access.ReadBeside(options.worker_tls.ca);
  access.ReadBeside(options.worker_tls.cert);
  access.ReadBeside(options.worker_tls.key);
  access.ReadBeside(options.store.postgres.address.password_file);
  if (!options.store.state_dir.empty()) {
    access.write.push_back(options.store.state_dir);
  }
  // Workers are looked up again and again, and the file is replaced when the
  // machine's network changes.
  access.ReadBeside("/etc/resolv.conf");
  return access;
}

absl::Status ReadReplyFormats(const std::vector<std::string>& flags,
                              CoordinatorOptions* options) {
  absl::StatusOr<NamedReplyFormats> formats = ParseReplyFormats(flags);
  if (!formats.ok()) return Annotate(formats.status(), "--reply-format");
  options->reply_formats = *std::move(formats);
  return absl::OkStatus();
}

int Main(int argc, char** argv) {
  CLI::App app(
      "Holds clients' sessions and drives their turns over draft and "
      "target workers.",
      kProgram);
  Flags flags;
  AddFlags(&app, &flags);
  if (const std::optional<int> code = ParseFlags(&app, argc, argv)) {
    return *code;
  }
  CoordinatorOptions& options = flags.coordinator;
  InitLogging(flags.server.log_format, flags.server.log_level);
  // What is wrong with it is said when it is opened.
  (void)StateFolder::Make(options.store.state_dir);
  Sandbox sandbox(flags.server, FilesOf(options));
  // From here on, not before: a config file that does not come (a FIFO) ends by
  // a signal; and it is a thread, which the sandbox comes before.
  SignalWatcher signal({.takes_reload = true});
  absl::Status status = CheckServerFlags(flags.server);
  if (status.ok()) status = ReadReplyFormats(flags.reply_formats, &options);
  if (!status.ok()) return PrintUsageError(kProgram, status);
  options.listen = flags.server.listen;
  options.tls = flags.server.tls;
  options.keys = flags.server.keys;
  options.workers.tls_files = options.worker_tls;
  options.reflection = flags.server.reflection;
  options.metrics = flags.server.metrics;
  options.turn_limits.queue_timeout =
      std::chrono::milliseconds(flags.queue_timeout_ms);
  options.workers.resolve_interval =
      std::chrono::milliseconds(flags.resolve_interval_ms);
  options.sessions.idle = std::chrono::seconds(flags.session_idle_seconds);
  options.sessions.one_shot_idle =
      std::chrono::seconds(flags.generate_idle_seconds);
  options.store.postgres.address.address = flags.store;
  options.store.retention.idle = absl::Hours(flags.state_keep_hours);
  options.client_stall = std::chrono::milliseconds(flags.client_stall_ms);
  options.append_idle = std::chrono::milliseconds(flags.append_idle_ms);
  options.connection_age = {
      .max = std::chrono::seconds(flags.connection_age_max_seconds),
      .grace = std::chrono::seconds(flags.connection_age_grace_seconds)};

  absl::StatusOr<std::unique_ptr<CoordinatorServer>> server =
      CoordinatorServer::Start(options);
  if (!server.ok()) {
    PrintUsageError(kProgram, server.status());
    // Starting it again helps where the database is away, else a person does.
    return absl::IsInvalidArgument(server.status()) ||
                   absl::IsFailedPrecondition(server.status()) ||
                   absl::IsDataLoss(server.status())
               ? kExitUsage
               : kExitFailed;
  }
  status = WriteAddressFile(flags.server.address_file, (*server)->address());
  if (status.ok()) {
    status = WriteAddressFile(flags.server.metrics_address_file,
                              (*server)->metrics_address());
  }
  if (!status.ok()) return PrintUsageError(kProgram, status);
  // After an error of its disk a database is opened again.
  sandbox.Seal(
      {.connects = true, .writes_files = !options.store.state_dir.empty()});
  spdlog::info("listening on {}", (*server)->address());
  while (signal.Next() == SignalEvent::kReload) (*server)->Reload();
  (*server)->Stop(std::chrono::milliseconds(flags.server.drain_timeout_ms));
  spdlog::info("stopped");
  return kExitOk;
}

}  // namespace
}  // namespace tandem

int main(int argc, char** argv) {
  tandem::BeginProcess();
  tandem::EndProcess(tandem::Main(argc, argv));
}
