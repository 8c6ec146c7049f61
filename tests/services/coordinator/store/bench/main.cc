// Measures the stores: turns begun a second and what a commit takes, and what
// many stored sessions cost at start. Prints a table; no test.
//
//   tandem-store-bench --store sqlite --seconds 10

#include <fcntl.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "engine/base/check.h"
#include "engine/base/monotonic_clock.h"
#include "services/coordinator/store/memory_state_store.h"
#include "services/coordinator/store/open_store.h"
#include "tests/services/coordinator/store/postgres_server.h"
#include "tests/services/coordinator/store/store_fixture.h"

namespace tandem::testing {
namespace {

constexpr size_t kPromptTokens = 300;
constexpr size_t kSetupBytes = 100;
// Of a turn with all its writes.
constexpr int kCheckpoints = 3;
constexpr size_t kCheckpointTokens = 32;

struct Options {
  std::string store = "sqlite";
  std::string parent = ".";
  double seconds = 5;
  std::vector<int> in_flight = {1, 16, 64, 256};
  int64_t sessions = 0;
};

// What is under way, and how long each begin took.
class Meter {
 public:
  explicit Meter(int in_flight_max) : in_flight_max_(in_flight_max) {}

  void Enter() {
    absl::MutexLock lock(&mutex_);
    mutex_.Await(absl::Condition(
        +[](Meter* meter) ABSL_NO_THREAD_SAFETY_ANALYSIS {
          return meter->in_flight_ < meter->in_flight_max_;
        },
        this));
    ++in_flight_;
  }
  void Leave() {
    absl::MutexLock lock(&mutex_);
    --in_flight_;
  }
  void Add(absl::Duration begin) {
    absl::MutexLock lock(&mutex_);
    begins_.push_back(absl::ToDoubleMilliseconds(begin));
  }
  void AwaitEnd() {
    absl::MutexLock lock(&mutex_);
    mutex_.Await(absl::Condition(
        +[](Meter* meter)
             ABSL_NO_THREAD_SAFETY_ANALYSIS { return meter->in_flight_ == 0; },
        this));
  }
  std::vector<double> Sorted() {
    absl::MutexLock lock(&mutex_);
    std::sort(begins_.begin(), begins_.end());
    return begins_;
  }

 private:
  const int in_flight_max_;
  absl::Mutex mutex_;
  int in_flight_ ABSL_GUARDED_BY(mutex_) = 0;
  std::vector<double> begins_ ABSL_GUARDED_BY(mutex_);
};

TurnBegin BeginOfSession(int64_t number) {
  TurnBegin begin =
      BeginOf({.session_id = IdOf(number), .epoch = 1, .turn = 1});
  begin.turn.prompt.assign(kPromptTokens, 1234);
  begin.turn.setup.assign(kSetupBytes, 'x');
  return begin;
}

void Check(const absl::Status& status) {
  if (status.ok()) return;
  fprintf(stderr, "%s\n", std::string(status.message()).c_str());
  std::exit(1);
}

// Of a turn that has begun: its tokens and its end, one after the other.
void WriteRest(StateStore* store, Meter* meter, const TurnKey& key, int step) {
  TurnTokens tokens{
      .key = key,
      .first_token = static_cast<int64_t>(kCheckpointTokens) * step};
  if (step == kCheckpoints) {
    return store->EndTurn({.last = tokens}, [meter](absl::Status status) {
      Check(status);
      meter->Leave();
    });
  }
  tokens.tokens.assign(kCheckpointTokens, 77);
  store->AddTokens(tokens, [=](absl::Status status) {
    Check(status);
    WriteRest(store, meter, key, step + 1);
  });
}

enum class Work { kBegins, kTurns };

void Measure(StateStore* store, Work work, int in_flight, double seconds) {
  static int64_t next_session = 1;
  Meter meter(in_flight);
  const absl::Time start = MonotonicNow();
  while (MonotonicNow() - start < absl::Seconds(seconds)) {
    meter.Enter();
    const TurnBegin begin = BeginOfSession(next_session++);
    const absl::Time asked = MonotonicNow();
    store->BeginTurn(begin, [&meter, store, work, asked,
                             key = begin.key](absl::Status status) {
      Check(status);
      meter.Add(MonotonicNow() - asked);
      if (work == Work::kBegins) return meter.Leave();
      WriteRest(store, &meter, key, 0);
    });
  }
  meter.AwaitEnd();
  const absl::Duration took = MonotonicNow() - start;
  const std::vector<double> begins = meter.Sorted();
  printf("%-28s %9d %9.0f %9.2f %9.2f\n",
         work == Work::kBegins ? "begins alone" : "turns with tokens and end",
         in_flight,
         static_cast<double>(begins.size()) / absl::ToDoubleSeconds(took),
         begins[begins.size() / 2], begins[begins.size() * 99 / 100]);
  fflush(stdout);
}

double RssMib() {
  int64_t size = 0;
  int64_t resident = 0;
  std::ifstream("/proc/self/statm") >> size >> resident;
  return static_cast<double>(resident * sysconf(_SC_PAGESIZE)) / (1 << 20);
}

// A store that is made and opened again.
class Bench {
 public:
  explicit Bench(const Options& options) : options_(options) {
    if (options.store == "sqlite") {
      folder_ = absl::StrCat(options.parent, "/store_bench_XXXXXX");
      TANDEM_CHECK(mkdtemp(folder_.data()) != nullptr);
    } else if (options.store == "postgres") {
      server_ =
          std::make_unique<PostgresServer>(PostgresServer::Commits::kOnDisk);
      address_ = server_->Address(server_->MakeDatabase());
    }
  }
  ~Bench() {
    if (!folder_.empty()) std::filesystem::remove_all(folder_);
  }

  std::unique_ptr<StateStore> Open() const {
    absl::StatusOr<std::unique_ptr<StateStore>> store =
        std::make_unique<MemoryStateStore>();
    if (!folder_.empty()) store = OpenSqliteStore(folder_, {});
    if (server_ != nullptr) {
      store = OpenPostgresStore({.address = {.address = address_}}, {});
    }
    Check(store.status());
    return *std::move(store);
  }

  void MeasureCommits() const {
    const std::unique_ptr<StateStore> store = Open();
    printf("%-28s %9s %9s %9s %9s\n", options_.store.c_str(), "in flight",
           "begins/s", "p50 ms", "p99 ms");
    for (const Work work : {Work::kBegins, Work::kTurns}) {
      for (const int in_flight : options_.in_flight) {
        Measure(store.get(), work, in_flight, options_.seconds);
      }
    }
  }

  void MeasureStart() const {
    const double empty = MeasureOpen("open, empty");
    {
      const std::unique_ptr<StateStore> store = Open();
      Meter meter(256);
      for (int64_t number = 1; number <= options_.sessions; ++number) {
        meter.Enter();
        const TurnBegin begin = BeginOfSession((int64_t{1} << 40) + number);
        store->BeginTurn(begin, [&](absl::Status status) { Check(status); });
        store->EndTurn({.last = {.key = begin.key,
                                 .tokens = std::vector<TokenId>(100, 7)}},
                       [&](absl::Status status) {
                         Check(status);
                         meter.Leave();
                       });
      }
      meter.AwaitEnd();
    }
    const double full = MeasureOpen(
        absl::StrCat("open, ", options_.sessions, " sessions").c_str());
    printf("difference %.1f MiB\n", full - empty);
  }

 private:
  // In a process of its own; its memory with the store open, in MiB.
  double MeasureOpen(const char* name) const {
    int pipes[2];
    TANDEM_CHECK(pipe2(pipes, O_CLOEXEC) == 0);
    const pid_t child = fork();
    if (child == 0) {
      const absl::Time start = MonotonicNow();
      const std::unique_ptr<StateStore> store = Open();
      Check(FindLost(store.get(), {}).status());
      const double ms = absl::ToDoubleMilliseconds(MonotonicNow() - start);
      const double rss = RssMib();
      printf("%-28s %9.1f ms, %.1f MiB\n", name, ms, rss);
      fflush(stdout);
      TANDEM_CHECK(write(pipes[1], &rss, sizeof(rss)) == sizeof(rss));
      _exit(0);
    }
    double rss = 0;
    TANDEM_CHECK(read(pipes[0], &rss, sizeof(rss)) == sizeof(rss));
    close(pipes[0]);
    close(pipes[1]);
    return rss;
  }

  const Options options_;
  std::string folder_;
  std::unique_ptr<PostgresServer> server_;
  std::string address_;
};

int Main(int argc, char** argv) {
  Options options;
  CLI::App app("Measures the stores of sessions.");
  app.add_option("--store", options.store, "sqlite, postgres or memory")
      ->check(CLI::IsMember({"sqlite", "postgres", "memory"}));
  app.add_option("--parent", options.parent,
                 "Folder on the disk to measure; of sqlite");
  app.add_option("--seconds", options.seconds, "Of each row");
  app.add_option("--in-flight", options.in_flight,
                 "Turns that begin at once, one row each");
  app.add_option("--sessions", options.sessions,
                 "Measure the start with as many stored sessions instead");
  CLI11_PARSE(app, argc, argv);
  const Bench bench(options);
  if (options.sessions > 0) {
    bench.MeasureStart();
  } else {
    bench.MeasureCommits();
  }
  return 0;
}

}  // namespace
}  // namespace tandem::testing

int main(int argc, char** argv) { return tandem::testing::Main(argc, argv); }
