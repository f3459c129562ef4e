"""A PostgreSQL of the tests' own: initdb in a temporary folder, a free port of 127.0.0.1, and the platform's schema
in as many databases as are asked for. PostgreSQL refuses to run as root: then it runs as its package's user."""

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import psycopg

from ports import free_port

ROOT = Path(__file__).resolve().parents[2]
PLATFORM = Path(__file__).with_name("platform.sql")
MIGRATIONS = sorted((ROOT / "deploy/supabase/migrations").glob("*.sql"))
PROGRAMS = next((path for path in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
                 if (path / "initdb").exists()), None)


def run_sql(url, text):
    """A whole script, as a file of SQL is run: in one transaction."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"BEGIN;\n{text}\nCOMMIT;", prepare=False)


def execute(url, query, *values):
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(query, values)


def rows(url, query, *values):
    with psycopg.connect(url, autocommit=True) as connection:
        return connection.execute(query, values).fetchall()


class Postgres:
    """start(), stop(), kill(), pause(), go_on(); database(name) makes one with the platform's schema and returns its
    URL. `addresses`: others than the loopback's, by which it can be reached too; `network` is theirs."""

    password = "postgres-of-the-tests"

    def __init__(self, addresses=(), network=None, fsync="off"):
        # off spares the disk, not the order: what a killed PostgreSQL had committed is in the kernel's cache
        self.fsync = fsync
        self.home = Path(tempfile.mkdtemp(prefix="token-service-postgres-"))
        self.addresses = ("127.0.0.1", *addresses)
        self.port = free_port()
        self.process = None
        self.user = None
        if os.geteuid() == 0:
            self.user = pwd.getpwnam("postgres")
            os.chown(self.home, self.user.pw_uid, self.user.pw_gid)
        secret = self.home / "password"
        secret.write_text(self.password)
        if self.user:
            os.chown(secret, self.user.pw_uid, self.user.pw_gid)
        self._run("initdb", "-D", self.home / "data", "-U", "postgres", "-A", "scram-sha-256", "--pwfile", secret,
                  "-E", "UTF8", "--locale", "C.UTF-8", "--no-sync")
        if network:
            with (self.home / "data/pg_hba.conf").open("a") as rules:
                rules.write(f"host all all {network} scram-sha-256\n")

    def _as_user(self):
        return {"user": self.user.pw_uid, "group": self.user.pw_gid, "extra_groups": []} if self.user else {}

    def _run(self, program, *arguments):
        done = subprocess.run([PROGRAMS / program, *arguments], cwd=self.home, capture_output=True, text=True,
                              timeout=120, check=False, **self._as_user())
        assert done.returncode == 0, done.stderr

    def start(self):
        settings = {"port": self.port, "listen_addresses": ",".join(self.addresses), "unix_socket_directories": "",
                    "fsync": self.fsync, "max_connections": 150, "logging_collector": "off"}
        with (self.home / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [PROGRAMS / "postgres", "-D", self.home / "data", *(f"-c{k}={v}" for k, v in settings.items())],
                cwd=self.home, stdout=log, stderr=log, start_new_session=True, **self._as_user())
        end = time.monotonic() + 60
        while True:
            with contextlib.suppress(psycopg.OperationalError):
                psycopg.connect(self.url(), connect_timeout=2).close()
                return self
            assert self.process.poll() is None and time.monotonic() < end, (self.home / "log").read_text()[-2000:]
            time.sleep(0.05)

    def url(self, database="postgres", user="postgres", password=None):
        return f"postgresql://{user}:{password or self.password}@127.0.0.1:{self.port}/{database}"

    def database(self, name, migrated=True):
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}"')
        for script in (PLATFORM, *(MIGRATIONS if migrated else [])):
            run_sql(self.url(name), script.read_text())
        return self.url(name)

    def database_if_absent(self, name):
        """A bare one."""
        with psycopg.connect(self.url(), autocommit=True) as connection, \
                contextlib.suppress(psycopg.errors.DuplicateDatabase):
            connection.execute(f'CREATE DATABASE "{name}"')

    def stop(self, sign=signal.SIGINT):
        """An orderly end, that waits for nobody; SIGQUIT: an immediate one, that needs recovery at the next start."""
        if self.process and self.process.poll() is None:
            self.process.send_signal(sign)
            self.process.wait(60)

    def _signal(self, sign):
        """To all of its processes; each backend is a session of its own."""
        main = self.process.pid
        if sign == signal.SIGSTOP:
            os.kill(main, sign)  # or it would make another one while they are looked up
        for pid in (main, *map(int, Path(f"/proc/{main}/task/{main}/children").read_text().split())):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, sign)

    def kill(self):
        """All at once, as when the machine goes."""
        if self.process and self.process.poll() is None:
            self._signal(signal.SIGSTOP)  # or the first to go would be mourned by the others
            self._signal(signal.SIGKILL)
            self.process.wait(60)

    def pause(self):
        self._signal(signal.SIGSTOP)

    def go_on(self):
        self._signal(signal.SIGCONT)

    def close(self):
        self.kill()
        shutil.rmtree(self.home, ignore_errors=True)


class Standby(Postgres):
    """A streaming standby of another one, with the same users and databases. It takes what comes until fall_behind();
    promote() makes it a server of its own, which lacks what came after that."""

    def __init__(self, primary):  # pylint: disable=super-init-not-called
        self.fsync, self.addresses, self.user = primary.fsync, ("127.0.0.1",), primary.user
        self.home = Path(tempfile.mkdtemp(prefix="token-service-standby-"))
        self.port, self.process = free_port(), None
        if self.user:
            os.chown(self.home, self.user.pw_uid, self.user.pw_gid)
        self._run("pg_basebackup", "-D", self.home / "data", "-d", primary.url(), "-R", "-c", "fast", "-X", "stream",
                  "--no-sync")

    def _ask(self, query):
        with psycopg.connect(self.url(), autocommit=True) as connection:
            result = connection.execute(query)
            return result.fetchall() if result.description else None

    def _until(self, query, otherwise):
        end = time.monotonic() + 60
        while not self._ask(query)[0][0]:
            assert time.monotonic() < end, otherwise
            time.sleep(0.02)

    def has_all_of(self, primary):
        """Waits until it has replayed what the primary has written up to now."""
        with psycopg.connect(primary.url(), autocommit=True) as connection:
            (place,) = connection.execute("SELECT pg_current_wal_lsn()::text").fetchone()
        self._until(f"SELECT pg_last_wal_replay_lsn() >= '{place}'", "the standby does not follow")

    def fall_behind(self):
        """From now on it hears of nothing new."""
        self._ask("ALTER SYSTEM SET primary_conninfo = ''")
        self._ask("SELECT pg_reload_conf()")
        self._until("SELECT count(*) = 0 FROM pg_stat_wal_receiver", "the standby still follows")

    def promote(self):
        self._ask("SELECT pg_promote(true, 60)")
        self._until("SELECT NOT pg_is_in_recovery()", "the standby was not promoted")


class Pooler:
    """pgbouncer before a Postgres: the server's connection changes after each transaction, two for all."""

    def __init__(self, postgres):
        self.postgres = postgres
        self.port = free_port()
        self.home = postgres.home / f"pooler-{self.port}"
        self.home.mkdir()
        (self.home / "users").write_text(f'"postgres" "{postgres.password}"\n')
        (self.home / "pgbouncer.ini").write_text(
            f"[databases]\n* = host=127.0.0.1 port={postgres.port}\n[pgbouncer]\nlisten_addr = 127.0.0.1\n"
            f"listen_port = {self.port}\nunix_socket_dir =\nauth_type = scram-sha-256\nauth_file = {self.home}/users\n"
            "pool_mode = transaction\ndefault_pool_size = 2\n")
        self.process = None

    def url(self, database_url):
        return database_url.replace(f":{self.postgres.port}/", f":{self.port}/")

    def start(self):
        with (self.home / "log").open("ab") as log:
            self.process = subprocess.Popen(["pgbouncer", self.home / "pgbouncer.ini"], cwd="/", stdout=log, stderr=log,
                                            env={"PATH": "/usr/sbin:/usr/bin:/bin"}, **self.postgres._as_user())
        end = time.monotonic() + 30
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return self
            assert self.process.poll() is None and time.monotonic() < end, (self.home / "log").read_text()[-2000:]
            time.sleep(0.05)

    def close(self):
        if self.process and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(30)
