"""The data directory's modes: what everybody can reach is refused, what a group was given is taken back."""

import fcntl
import os
import shutil
import sqlite3
import stat
import subprocess
import tempfile
import time
from contextlib import closing
from pathlib import Path

import pytest

from service import BINARY, DEFAULTS, Server, environment, run
from wire import PATIENCE_S

NOBODY = 65534

OURS = {"token-service.db", "token-service.db-wal", "token-service.db-shm", "serve.lock", "database-id"}


@pytest.fixture
def used(tmp_path):
    """A data directory that a server was killed in, so that all of its files are still there: when the next key's is,
    not while it is being made."""
    server = Server(tmp_path, {"TOKEN_SIGNING_ALG": "ES256"}).start().settled()
    server.agent = server.add_client("agent")
    server.token(server.agent)
    server.session.close()
    server.kill()
    yield server
    server.kill()


def mode_of(path):
    return stat.S_IMODE(path.stat().st_mode)


def files_of(server):
    return sorted(path for path in server.data_dir.iterdir() if path.is_file())


def refused(server, *arguments):
    said = run(*arguments, settings=server.settings, expect=2).stderr.splitlines()
    (sentence,) = [line for line in said if not line.startswith("{")]  # among lines of the log
    assert sentence.startswith("token-service: "), sentence
    return sentence


def test_all_files_are_the_users_alone(used):
    files = files_of(used)
    assert {path.name for path in files} >= OURS and any(path.suffix == ".pem" for path in files)
    assert {mode_of(path) for path in files} == {0o600} and mode_of(used.data_dir) == 0o700


@pytest.mark.parametrize("name", sorted(OURS) + ["signing-key-*.pem"])
def test_a_file_that_everybody_can_reach_is_refused(used, name):
    path = next(used.data_dir.glob(name))
    for mode in (0o604, 0o666, 0o602, 0o601, 0o777):
        path.chmod(mode)
        for command in (["serve"], ["clients", "list"], ["token", "issue", "--client", "agent"]):
            sentence = refused(used, *command)
            assert str(path) in sentence and "chmod 600" in sentence
        assert mode_of(path) == mode, "it is for a person to look at"
    path.chmod(0o600)
    used.start()
    used.stop()


def test_a_directory_that_everybody_can_write_to_is_refused(used):
    for mode in (0o777, 0o1777, 0o702):
        used.data_dir.chmod(mode)
        assert str(used.data_dir) in refused(used, "serve")
    used.data_dir.chmod(0o755)  # its names are no secret
    used.start()
    used.stop()


def test_rights_that_an_orchestrator_gives_to_a_group_are_taken_back(used):
    """chmod -R g+rwX with the set-group-id bit on directories, and another group: fsGroup of Kubernetes."""
    files = files_of(used)
    for path in files:
        path.chmod(0o660)
        if os.geteuid() == 0:
            os.chown(path, -1, 4711)
    used.data_dir.chmod(0o2770)
    used.start()
    assert {mode_of(path) for path in files_of(used)} == {0o600}
    assert mode_of(used.data_dir) == 0o2750
    said = used.events("group_rights_removed")
    assert {entry["file"] for entry in said} == {path.name for path in files} | {"."}
    assert {entry["mode_before"] for entry in said} == {"0660", "2770"}
    assert used.token(used.agent)
    used.stop()
    used.start()
    assert used.events("group_rights_removed") == said, "once is enough"
    used.stop()


def test_a_file_that_is_none_of_ours_is_left_alone(used):
    other = used.data_dir / "notes.txt"
    other.write_text("anything")
    other.chmod(0o666)
    used.start()
    used.stop()
    assert mode_of(other) == 0o666


def test_nothing_is_made_beside_another_server(tmp_path):
    """The lock comes first: a process that does not get it leaves the directory as it found it."""
    settings = DEFAULTS | {"TOKEN_DATA_DIR": str(tmp_path)}
    with (tmp_path / "serve.lock").open("w") as lock:
        (tmp_path / "serve.lock").chmod(0o600)
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = run("serve", settings=settings, expect=2)
    assert done.stderr == "token-service: another token-service is running on this TOKEN_DATA_DIR\n"
    assert [path.name for path in tmp_path.iterdir()] == ["serve.lock"]


def test_of_servers_that_start_at_once_one_makes_everything(tmp_path):
    settings = environment(DEFAULTS | {"TOKEN_DATA_DIR": str(tmp_path / "data"), "TOKEN_SIGNING_ALG": "ES256"})
    servers = [subprocess.Popen([BINARY, "serve"], env=settings, stderr=subprocess.PIPE, text=True) for _ in range(6)]
    until = time.monotonic() + PATIENCE_S
    while sum(server.poll() is None for server in servers) > 1 and time.monotonic() < until:
        time.sleep(0.01)
    (winner,) = [server for server in servers if server.poll() is None]
    while winner.stderr.readable() and '"event":"serving"' not in (line := winner.stderr.readline()):
        assert line, "it ended"
    winner.terminate()
    said = [server.communicate(timeout=PATIENCE_S)[1] for server in servers]
    assert sorted(server.returncode for server in servers) == [0] + [2] * 5
    assert {text for server, text in zip(servers, said) if server.returncode} == {
        "token-service: another token-service is running on this TOKEN_DATA_DIR\n"}
    with closing(sqlite3.connect(tmp_path / "data/token-service.db")) as database:
        made = [kid for (kid,) in database.execute("SELECT kid FROM oauth_jwks ORDER BY state DESC")]
    assert len(made) <= 2, "more than its own key, and perhaps its next one"
    assert {path.name for path in (tmp_path / "data").glob("signing-key-*")} == {
        f"signing-key-{kid}.pem" for kid in made}


@pytest.fixture
def nobodys():
    """A folder that the user nobody can get to, with the program in it."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    shutil.copy(BINARY, folder / "token-service")
    yield folder
    shutil.rmtree(folder)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to others")
def test_another_users_file_that_a_group_can_reach_is_refused(nobodys):
    """In a directory of root's that the user's group may write to, as orchestrators mount one."""
    data = nobodys / "data"
    data.mkdir()
    os.chown(data, 0, NOBODY)
    data.chmod(0o2770)

    def clients(*arguments):
        return subprocess.run([nobodys / "token-service", "clients", *arguments], user=NOBODY, group=NOBODY,
                              env=environment(DEFAULTS | {"TOKEN_DATA_DIR": str(data)}), extra_groups=[],
                              cwd=nobodys, capture_output=True, text=True, check=False)

    assert clients("add", "--id", "a", "--scope", "b").returncode == 0, "the directory may be root's"
    (data / "token-service.db").chmod(0o660)
    os.chown(data / "token-service.db", 1, NOBODY)
    done = clients("list")
    assert done.returncode == 2 and "belongs to another user" in done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to others")
@pytest.mark.parametrize("made", ["before", "by the command"])
def test_what_root_makes_in_the_services_directory_is_the_services(nobodys, made):
    """An administrator's `clients add` must leave nothing behind that the service can't use."""
    data = nobodys / "data"
    os.chown(nobodys, NOBODY, NOBODY)
    if made == "before":
        data.mkdir(0o700)
        os.chown(data, NOBODY, NOBODY)
    settings = environment(DEFAULTS | {"TOKEN_DATA_DIR": str(data), "TOKEN_SIGNING_ALG": "ES256"})

    def command(*arguments, **who):
        return subprocess.run([nobodys / "token-service", *arguments], env=settings, cwd=nobodys, capture_output=True,
                              text=True, check=False, **who)

    assert command("clients", "add", "--id", "a", "--scope", "b").returncode == 0
    assert command("token", "issue", "--client", "a").returncode == 0
    assert {path.stat().st_uid for path in [data, *data.iterdir()]} == {NOBODY}
    nobody = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
    assert command("token", "issue", "--client", "a", **nobody).returncode == 0
    assert command("doctor", **nobody).returncode == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to others")
def test_root_gives_no_file_away_that_has_a_second_name(nobodys):
    """Whoever owns the directory must not get at another file of root's by a link in it."""
    data, other = nobodys / "data", nobodys / "of-root"
    data.mkdir(0o700)
    other.write_text("of root")
    other.chmod(0o600)
    os.link(other, data / "token-service.db-x")
    (data / "serve.lock").symlink_to(other)
    os.chown(data, NOBODY, NOBODY)
    settings = environment(DEFAULTS | {"TOKEN_DATA_DIR": str(data)})
    subprocess.run([BINARY, "clients", "add", "--id", "a", "--scope", "b"], env=settings, capture_output=True,
                   check=False)
    assert other.stat().st_uid == 0 and (data / "token-service.db").stat().st_uid == NOBODY
