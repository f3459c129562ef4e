"""Real Redis servers for the tests: one, with TLS, a cluster of three, one with a replica and Sentinels. They are
Debian's redis-server and redis-sentinel, on free ports of the loopback, and asked with redis-cli: never with our own
code."""

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from kms import certificate_chain
from ports import free_port
from wire import PATIENCE_S

PASSWORD = "a-Pass:w%rd@of/tests"  # what a URL must encode
LOG = "token-service:{revocations}:log"
BUS = 10000  # a cluster's nodes speak to each other on a port so much higher
MARGIN_S = 6 * 3600   # what refuses a token is kept for so much longer than the token lives: a clock may be ahead


def until(condition, otherwise, patience_s=PATIENCE_S):
    end = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < end, otherwise
        time.sleep(0.01)


class Redis:
    """One server. `settings` are lines of redis.conf; `scheme` and `login` are of its URL; `addresses` are others than
    the loopback's, by which it can be reached too."""

    program = "redis-server"

    def __init__(self, home, *settings, login="", scheme="redis", cli=(), addresses=()):
        if not shutil.which(self.program):
            pytest.skip(f"there is no {self.program}: install Debian's package of that name")
        self.home = Path(home)
        self.home.mkdir(parents=True, exist_ok=True)
        self.port = free_port(BUS)
        self.scheme, self.login, self.cli = scheme, login, cli
        self.lines = [" ".join(["bind 127.0.0.1", *addresses]), "daemonize no", f"dir {self.home}", "logfile redis.log",
                      *settings]
        if not any(line.startswith("port 0") for line in settings):
            self.lines.append(f"port {self.port}")
        self.process = None

    @property
    def url(self):
        return f"{self.scheme}://{self.login}127.0.0.1:{self.port}"

    def start(self):
        (self.home / "redis.conf").write_text("\n".join(line.replace("PORT", str(self.port)) for line in self.lines))
        # pylint: disable-next=consider-using-with
        self.process = subprocess.Popen([self.program, "redis.conf"], cwd=self.home, stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until(self.answers, "redis-server does not answer")
        return self

    def answers(self):
        assert self.process.poll() is None, (self.home / "redis.log").read_text()[-2000:]
        return self.ask("PING", check=False) == "PONG"

    def ask(self, *words, check=True):
        environment = {"PATH": os.environ["PATH"]}
        done = subprocess.run(["redis-cli", "-h", "127.0.0.1", "-p", str(self.port), *self.cli, *map(str, words)],
                              env=environment, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
        assert not check or (done.returncode == 0 and not done.stdout.startswith(("ERR", "NOAUTH", "WRONGPASS"))), done
        return done.stdout.strip()

    def keys(self, pattern="revoked:*"):
        return set(self.ask("KEYS", pattern).split())

    def kill(self):
        """What was in memory is gone, since nothing is saved."""
        if self.process:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
            self.process.wait(PATIENCE_S)
            self.process = None

    def stop(self):
        """In order: what was in memory is in a file, and there again after start()."""
        self.ask("SHUTDOWN", "SAVE", check=False)
        self.process.wait(PATIENCE_S)
        self.process = None

    def pause(self):
        self.process.send_signal(signal.SIGSTOP)

    def resume(self):
        self.process.send_signal(signal.SIGCONT)


def single(home, *settings, **options):
    return Redis(home, 'save ""', *settings, **options)


def with_login(home, *settings, but=""):
    """A user of its own, who may run what docs/instances.md says on the service's keys, and PING for answers(); the
    default user may nothing. `but`: what that user may not run, such as "-eval"."""
    user = (f"user service on >{PASSWORD} ~revoked:* ~token-service:* +set +get +eval +xadd +xrange +xread +scan +pttl "
            f"+echo +select +asking +info +role +cluster|slots +ping {but}")
    redis = Redis(home, 'save ""', user, "user default off", *settings, login="service:a-Pass%3Aw%25rd%40of%2Ftests@",
                  cli=("--user", "service", "--pass", PASSWORD, "--no-auth-warning"))
    return redis


def with_tls(home):
    """Its certificate names localhost, not the address; ca.pem is who issued it."""
    home.mkdir(parents=True, exist_ok=True)
    (home / "ca.pem").write_bytes(certificate_chain("localhost", home / "server.pem"))
    (home / "other-ca.pem").write_bytes(certificate_chain("localhost", home / "other.pem"))
    redis = Redis(home, 'save ""', "port 0", "tls-port PORT", "tls-cert-file server.pem", "tls-key-file server.pem",
                  "tls-ca-cert-file ca.pem", "tls-auth-clients no", scheme="rediss",
                  cli=("--tls", "--cacert", str(home / "ca.pem"), "--sni", "localhost"))
    return redis


def wanting_certificates(home):
    """TLS, and whoever connects must show a certificate of the same issuer: client.pem holds one, and its key."""
    home.mkdir(parents=True, exist_ok=True)
    for name in ("server", "client", "stranger"):
        (home / f"{name}-ca.pem").write_bytes(certificate_chain("localhost", home / f"{name}.pem"))
    redis = Redis(home, 'save ""', "port 0", "tls-port PORT", "tls-cert-file server.pem", "tls-key-file server.pem",
                  "tls-ca-cert-file client-ca.pem", "tls-auth-clients yes", scheme="rediss",
                  cli=("--tls", "--cacert", str(home / "server-ca.pem"), "--sni", "localhost",
                       "--cert", str(home / "client.pem"), "--key", str(home / "client.pem")))
    return redis


SENTINEL_PASSWORD = "the-Sentinels'-own"


class Cluster:
    """Three masters without replicas."""

    def __init__(self, home):
        self.nodes = [Redis(home / str(i), 'save ""', "cluster-enabled yes", "cluster-node-timeout 2000",
                            "cluster-require-full-coverage no") for i in range(3)]

    def start(self):
        for node in self.nodes:
            node.start()
        addresses = [f"127.0.0.1:{node.port}" for node in self.nodes]
        done = subprocess.run(["redis-cli", "--cluster", "create", *addresses, "--cluster-yes"], capture_output=True,
                              text=True, timeout=PATIENCE_S, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        for node in self.nodes:
            until(lambda node=node: "cluster_state:ok" in node.ask("CLUSTER", "INFO"), "the cluster does not form")
        return self

    @property
    def url(self):
        return self.nodes[0].url

    def keys(self):
        return set().union(*(node.keys() for node in self.nodes))

    def id_of(self, node):
        return node.ask("CLUSTER", "MYID")

    def owner_of(self, key):
        """Whoever holds the key's slot, which is returned too."""
        slot = int(self.nodes[0].ask("CLUSTER", "KEYSLOT", key))
        owner, = [node for node in self.nodes if f"{self.id_of(node)} " in self._line_of(slot)]
        return owner, slot

    def _line_of(self, slot):
        for line in self.nodes[0].ask("CLUSTER", "NODES").splitlines():
            for part in line.split()[8:]:
                if part.startswith("["):
                    continue
                first, _, last = part.partition("-")
                if int(first) <= slot <= int(last or first):
                    return line
        raise AssertionError(f"nobody has slot {slot}")

    def begin_move(self, slot, source, target):
        target.ask("CLUSTER", "SETSLOT", slot, "IMPORTING", self.id_of(source))
        source.ask("CLUSTER", "SETSLOT", slot, "MIGRATING", self.id_of(target))

    def end_move(self, slot, source, target):
        while True:
            keys = source.ask("CLUSTER", "GETKEYSINSLOT", slot, 100).split()
            if not keys:
                break
            source.ask("MIGRATE", "127.0.0.1", target.port, "", 0, 5000, "KEYS", *keys)
        for node in (target, source, *self.nodes):
            node.ask("CLUSTER", "SETSLOT", slot, "NODE", self.id_of(target))

    def kill(self):
        for node in self.nodes:
            node.kill()


class Sentinel(Redis):
    program = "redis-sentinel"


class Watched:
    """A master, a replica, and three Sentinels that watch them."""

    group = "the-group"

    def __init__(self, home, password=None):
        self.home, self.password = home, password
        self.servers = [single(home / name, "repl-diskless-sync-delay 0") for name in "ab"]
        self.sentinels = []

    def start(self):
        master, replica = self.servers
        master.start()
        replica.lines.append(f"replicaof 127.0.0.1 {master.port}")
        replica.start()
        until(lambda: "master_link_status:up" in replica.ask("INFO", "replication"), "the replica does not follow")
        for i in range(3):
            sentinel = Sentinel(self.home / f"s{i}", f"sentinel monitor {self.group} 127.0.0.1 {master.port} 2",
                                f"sentinel down-after-milliseconds {self.group} 500",
                                f"sentinel failover-timeout {self.group} 5000",
                                *([f'requirepass "{self.password}"'] if self.password else []),
                                cli=("--pass", self.password, "--no-auth-warning") if self.password else ())
            self.sentinels.append(sentinel.start())
        for sentinel in self.sentinels:
            until(lambda sentinel=sentinel: "slaves=1,sentinels=3" in sentinel.ask("INFO", "sentinel"),
                  "the Sentinels do not find each other")
        return self

    @property
    def url(self):
        return f"redis+sentinel://{','.join(f'127.0.0.1:{each.port}' for each in self.sentinels)}/{self.group}"

    def master_port(self):
        return int(self.sentinels[0].ask("SENTINEL", "get-master-addr-by-name", self.group).split()[1])

    def kill(self):
        for server in (*self.sentinels, *self.servers):
            server.kill()
