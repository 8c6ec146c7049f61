#include "tests/services/coordinator/store/postgres_server.h"

#include <gtest/gtest.h>
#include <libpq-fe.h>
#include <pwd.h>
#include <signal.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <memory>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "engine/base/check.h"

namespace tandem::testing {
namespace {

constexpr char kPrograms[] = "/usr/lib/postgresql/15/bin";

void RunShell(const std::string& command) {
  const int code = std::system(command.c_str());
  if (code != 0) {
    ADD_FAILURE() << command << ": ended with " << code
                  << " (tools/setup installs postgresql-15)";
  }
}

// The command as the user that may run a server.
std::string AsServer(const std::string& command) {
  return absl::StrCat(getuid() == 0 ? "runuser -u postgres -- " : "", kPrograms,
                      "/", command);
}

}  // namespace

PostgresServer::PostgresServer(Commits commits) {
  std::string folder = "/tmp/tandem_postgres_XXXXXX";
  TANDEM_CHECK(mkdtemp(folder.data()) != nullptr);  // mode 700
  folder_ = folder;
  if (getuid() == 0) {
    const passwd* const user = getpwnam("postgres");
    TANDEM_CHECK(user != nullptr);
    TANDEM_CHECK(chown(folder_.c_str(), user->pw_uid, user->pw_gid) == 0);
  }
  RunShell(AsServer(absl::StrCat(
      "initdb --no-sync --username=tandem --auth=trust --encoding=UTF8 "
      "--no-locale --pgdata=",
      folder_, "/data > ", folder_, "/initdb.log 2>&1")));
  std::ofstream(absl::StrCat(folder_, "/data/postgresql.conf"), std::ios::app)
      << "listen_addresses = ''\n"
      << "unix_socket_directories = '" << folder_ << "'\n"
      << "unix_socket_permissions = 0700\n"
      << "fsync = " << (commits == Commits::kOnDisk ? "on" : "off") << "\n"
      << "shared_buffers = 32MB\n"
      << "max_connections = 60\n";
  Start();
}

PostgresServer::~PostgresServer() {
  Stop("immediate");
  RunShell(absl::StrCat("rm -rf ", folder_));
}

PostgresServer& PostgresServer::Shared() {
  static PostgresServer server;
  return server;
}

void PostgresServer::Start() {
  const std::string start = AsServer(absl::StrCat(
      "pg_ctl --pgdata=", folder_, "/data --wait --silent --log=", folder_,
      "/log start < /dev/null > /dev/null 2>&1"));
  // Backends outlive a killed postmaster for a moment, and no other one starts
  // meanwhile.
  for (int i = 0; i < 100 && std::system(start.c_str()) != 0; ++i) {
    absl::SleepFor(absl::Milliseconds(100));
  }
  EXPECT_NE(Execute("postgres", "SELECT 1"), "");
}

void PostgresServer::Stop(const std::string& mode) {
  RunShell(AsServer(absl::StrCat("pg_ctl --pgdata=", folder_,
                                 "/data --wait --silent --mode=", mode,
                                 " stop < /dev/null")));
}

void PostgresServer::Kill() {
  pid_t pid = 0;
  std::ifstream(absl::StrCat(folder_, "/data/postmaster.pid")) >> pid;
  TANDEM_CHECK(pid > 0);
  EXPECT_EQ(kill(pid, SIGKILL), 0);
}

std::string PostgresServer::MakeDatabase(const std::string& options) {
  const std::string name = absl::StrCat("test", ++databases_);
  Execute("postgres", absl::StrCat("CREATE DATABASE ", name,
                                   " TEMPLATE template0 ", options));
  return name;
}

std::string PostgresServer::Address(const std::string& database,
                                    const std::string& user) const {
  return absl::StrCat("postgres://", user, "@/", database, "?host=", folder_);
}

std::string PostgresServer::Execute(const std::string& database,
                                    const std::string& sql) {
  const std::unique_ptr<PGconn, decltype(&PQfinish)> connection(
      PQconnectdb(Address(database).c_str()), &PQfinish);
  const std::unique_ptr<PGresult, decltype(&PQclear)> result(
      PQexec(connection.get(), sql.c_str()), &PQclear);
  const ExecStatusType status = PQresultStatus(result.get());
  if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK) {
    ADD_FAILURE() << sql << ": " << PQerrorMessage(connection.get());
  }
  return PQntuples(result.get()) > 0 ? PQgetvalue(result.get(), 0, 0) : "";
}

void PostgresServer::AskForPasswords() {
  std::ofstream(absl::StrCat(folder_, "/data/pg_hba.conf"))
      << "local all tandem trust\nlocal all all scram-sha-256\n";
  Execute("postgres", "SELECT pg_reload_conf()");
}

}  // namespace tandem::testing
