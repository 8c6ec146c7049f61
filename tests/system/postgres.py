"""A PostgreSQL server of a test's own: it listens at a socket in a folder that
others may not enter. Root runs it as user postgres, and owns the folder: a
coordinator in its sandbox has no capability to enter another's."""

import os
import pathlib
import shutil
import signal
import subprocess
import tempfile

import processes

PROGRAMS = pathlib.Path("/usr/lib/postgresql/15/bin")


class PostgresServer:

    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="tandem-postgres."))
        self._as_user = []
        self._postmaster = None
        if os.getuid() == 0:
            # Not by Popen's user: that forks, which gRPC's threads in this
            # process do not survive.
            self._as_user = ["setpriv", "--reuid=postgres",
                             "--regid=postgres", "--clear-groups"]
            shutil.chown(self.folder, group="postgres")
            self.folder.chmod(0o770)
        try:
            if self._begin("initdb", "--no-sync", "--username=tandem",
                           "--auth=trust", "--encoding=UTF8", "--no-locale",
                           ).wait(processes.LIMIT_SECONDS) != 0:
                raise AssertionError(f"initdb: {self.log()} (tools/setup "
                                     "installs postgresql-15)")
            with open(self.folder / "data/postgresql.conf", "a") as config:
                config.write("listen_addresses = ''\n"
                             f"unix_socket_directories = '{self.folder}'\n"
                             "shared_buffers = 32MB\n"
                             # A killed process leaves what it wrote to the
                             # system; syncing the folder after each kill takes
                             # up to a minute on a busy disk.
                             "fsync = off\n")
            self.start()
            self.make_database("tandem")
        except BaseException:
            self.remove()
            raise

    def _begin(self, program, *arguments):
        with open(self.folder / "log", "ab") as log:
            return subprocess.Popen(
                [*self._as_user, PROGRAMS / program,
                 f"--pgdata={self.folder}/data" if program == "initdb" else
                 f"-D{self.folder}/data", *arguments],
                cwd="/", stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def log(self):
        return (self.folder / "log").read_text(errors="replace")

    def start(self):
        self._postmaster = self._begin("postgres")

        def answers():
            if self._postmaster.poll() is not None:
                raise AssertionError(f"PostgreSQL ended: {self.log()}")
            return subprocess.run(
                [PROGRAMS / "pg_isready", "--quiet", "-h", self.folder],
                check=False).returncode == 0

        processes.wait_until(answers, "PostgreSQL serves")

    def stop(self, number=signal.SIGINT):
        """By default at once and in order; by SIGKILL the postmaster dies, and
        then what it started."""
        pids = self._children()
        self._postmaster.send_signal(number)
        self._postmaster.wait(processes.LIMIT_SECONDS)
        processes.wait_until(
            lambda: not any(os.path.exists(f"/proc/{pid}") for pid in pids),
            "PostgreSQL's processes end")

    def backends(self):
        """Pids of the processes that serve a connection of tandem."""
        found = []
        for pid in self._children():
            try:
                line = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()
            except OSError:  # it has ended
                continue
            if line.startswith(b"postgres: tandem "):
                found.append(pid)
        return found

    def _children(self):
        pid = self._postmaster.pid
        return [int(child) for child in pathlib.Path(
            f"/proc/{pid}/task/{pid}/children").read_text().split()]

    def send_signal(self, number):
        """To all its processes."""
        for pid in [self._postmaster.pid, *self._children()]:
            os.kill(pid, number)

    def address(self, database="tandem", user="tandem"):
        return f"postgres://{user}@/{database}?host={self.folder}"

    def store_flags(self, address=None):
        """A coordinator's, with fsync off as it is here."""
        return ["--store", address or self.address(), "--allow-loss"]

    def execute(self, sql, database="postgres"):
        subprocess.run(["psql", "--no-psqlrc", "--quiet",
                        self.address(database), "--command", sql],
                       stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                       check=True, timeout=processes.LIMIT_SECONDS)

    def make_database(self, name, options=""):
        self.execute(f"CREATE DATABASE {name} TEMPLATE template0 {options}")

    def ask_for_passwords(self, user, password):
        """A user who has to show it."""
        self.execute(f"CREATE ROLE {user} LOGIN PASSWORD '{password}'")
        (self.folder / "data/pg_hba.conf").write_text(
            "local all tandem trust\nlocal all all scram-sha-256\n")
        self.execute("SELECT pg_reload_conf()")

    def remove(self):
        if self._postmaster is not None and self._postmaster.poll() is None:
            self.send_signal(signal.SIGCONT)
            self.stop(signal.SIGQUIT)
        shutil.rmtree(self.folder)
