// A PostgreSQL server of a test: made and started by it, reached by a Unix
// socket alone, gone with the object. As root it runs as user postgres. Used by
// one thread.

#ifndef TANDEM_TESTS_SERVICES_COORDINATOR_STORE_POSTGRES_SERVER_H_
#define TANDEM_TESTS_SERVICES_COORDINATOR_STORE_POSTGRES_SERVER_H_

#include <string>

namespace tandem::testing {

class PostgresServer {
 public:
  // Where a commit is when the server reports it. Tests kill processes, so
  // what they commit needs no disk.
  enum class Commits { kInMemory, kOnDisk };
  explicit PostgresServer(Commits commits = Commits::kInMemory);
  ~PostgresServer();

  PostgresServer(const PostgresServer&) = delete;
  PostgresServer& operator=(const PostgresServer&) = delete;

  // The one that the tests of a program share.
  static PostgresServer& Shared();

  void Start();
  // Signals of pg_ctl: "fast" ends sessions, "immediate" is a crash.
  void Stop(const std::string& mode);
  // Ends the postmaster as nobody expects.
  void Kill();

  // Makes an empty database with a name of its own, and returns that.
  std::string MakeDatabase(const std::string& options = "");
  // The address of a database, for its owner or for `user`.
  std::string Address(const std::string& database,
                      const std::string& user = "tandem") const;
  // Runs SQL; the first value of its result, else "".
  std::string Execute(const std::string& database, const std::string& sql);
  // Users log in with their password from now on; but for the owner.
  void AskForPasswords();

 private:
  std::string folder_;
  int databases_ = 0;
};

}  // namespace tandem::testing

#endif  // TANDEM_TESTS_SERVICES_COORDINATOR_STORE_POSTGRES_SERVER_H_
