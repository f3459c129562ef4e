"""The Debian package (`./dev deb`), installed on a copy of this machine; and the systemd unit in it, whose sandbox the
service must not feel."""

import os
import re
import shutil
import subprocess

import pytest

from network import MACHINE_LACKS
from roots import MAKING_S, made_by
from service import BINARY, ROOT, Server

UNIT = ROOT / "packaging/token-service.service"
EXPOSURE = 12  # tenths, of 100: systemd's own judgement, 0 being no exposure at all

# A copy of this machine that lasts as long as the command: what is written lies in memory.
COPY = """
set -e
mount -t tmpfs tmpfs "$1"
mkdir "$1/upper" "$1/work" "$1/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" "$1/root"
mount -t proc proc "$1/root/proc"
mount --rbind /dev "$1/root/dev"
mount -t tmpfs tmpfs "$1/root/run"
cp "$2" "$1/root/run/package.deb"
printf '#!/bin/sh\\nexit 101\\n' >"$1/root/usr/sbin/policy-rc.d"
chmod 755 "$1/root/usr/sbin/policy-rc.d"
exec chroot "$1/root" bash -euc "$3"
"""


def run(*words, **options):
    return subprocess.run(words, capture_output=True, text=True, timeout=MAKING_S, check=False, **options)


def said_by(*words, **options):
    done = run(*words, **options)
    assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def deb():
    return made_by("deb")


@pytest.fixture
def on_a_copy(deb, tmp_path):
    """on_a_copy(commands): what these say on a copy of this machine, on which the package lies in /run/package.deb."""
    if os.geteuid() != 0:
        pytest.skip("the package is installed by root alone")
    probe = run("unshare", "--mount", "bash", "-ec", COPY, "_", tmp_path, deb, "true")
    if probe.returncode != 0 and "mount" in probe.stderr:
        pytest.skip(f"{MACHINE_LACKS}overlay of its root: {probe.stderr.strip()}")
    assert probe.returncode == 0, probe.stderr
    return lambda commands: said_by("unshare", "--mount", "--pid", "--fork", "--kill-child", "bash", "-ec", COPY, "_",
                                    tmp_path, deb, commands, env=os.environ | {"DEBIAN_FRONTEND": "noninteractive"})


def field(deb, name):
    return said_by("dpkg-deb", "--field", deb, name).strip()


def test_it_says_what_it_needs(deb):
    depends = [re.match("[a-z0-9.-]+", each)[0] for each in field(deb, "Depends").split(", ")]
    assert {re.sub("t64$", "", each) for each in depends} == {"libc6", "libssl3", "libsqlite3-0", "adduser"}
    recommends = {re.sub("t64$", "", each) for each in field(deb, "Recommends").split(", ")}
    assert recommends == {"libcurl4", "libpq5", "ca-certificates"}  # what is loaded when it is needed
    assert field(deb, "Version") == said_by(BINARY, "--version").split()[1] + "-1"
    assert field(deb, "Architecture") == said_by("dpkg", "--print-architecture").strip()
    assert "@" not in said_by("dpkg-deb", "--field", deb).replace(field(deb, "Maintainer"), "")


def test_it_holds_these_files(deb):
    lines = [line.split() for line in said_by("dpkg-deb", "--contents", deb).splitlines()]
    assert {line[1] for line in lines} == {"root/root"}
    assert {line[5].lstrip("."): line[0] for line in lines if not line[0].startswith("d")} == {
        "/etc/token-service/environment": "-rw-------",
        "/usr/bin/token-service": "-rwxr-xr-x",
        "/usr/lib/systemd/system/token-service.service": "-rw-r--r--",
        "/usr/share/doc/token-service/changelog.Debian.gz": "-rw-r--r--",
        "/usr/share/doc/token-service/changelog.gz": "-rw-r--r--",
        "/usr/share/doc/token-service/copyright": "-rw-r--r--",
        "/usr/share/man/man1/token-service.1.gz": "-rw-r--r--"}


def test_the_same_files_give_the_same_bytes(deb, tmp_path):
    again = tmp_path / "again.deb"
    seconds = re.search(r"BUILT_S (\d+)", (ROOT / "build/release/version.h").read_text())[1]
    subprocess.run([ROOT / "packaging/deb.py", again, ROOT / "build/release/token-service", field(deb, "Version"),
                    field(deb, "Maintainer"), seconds], check=True, cwd=tmp_path, umask=0o077,
                   env=os.environ | {"TZ": "Asia/Kolkata", "LC_ALL": "C"})
    assert again.read_bytes() == deb.read_bytes()


def test_installed_removed_and_purged(on_a_copy):
    said = on_a_copy("""
        dpkg --force-unsafe-io --no-triggers -i /run/package.deb >/run/log 2>&1 || { cat /run/log; exit 1; }
        getent passwd token-service
        stat -c '%a %U %n' /etc/token-service/environment /usr/bin/token-service
        echo 'TOKEN_ISSUER=https://mine.example' >>/etc/token-service/environment
        install -d -o token-service -g token-service -m 700 /var/lib/token-service # as systemd does at the first start
        setpriv --reuid token-service --regid token-service --init-groups /usr/bin/token-service clients add \
            --id first --scope token:issue --data-dir /var/lib/token-service >/dev/null
        dpkg --force-unsafe-io --no-triggers -i /run/package.deb >/dev/null 2>&1
        grep -c mine.example /etc/token-service/environment
        systemd-analyze verify --man=no /usr/lib/systemd/system/token-service.service 2>&1 | grep token-service ||
            echo verified
        dpkg --force-unsafe-io --no-triggers -r token-service >/dev/null
        ls /usr/bin/token-service /etc/token-service/environment 2>&1 || true
        dpkg --force-unsafe-io --no-triggers -P token-service 2>&1 | grep 'left as it is'
        ls -d /etc/token-service /var/lib/token-service/token-service.db 2>&1 || true
    """).splitlines()
    said = [line for line in said if line]
    assert re.fullmatch(r"token-service:x:\d+:\d+:Token service,*:/var/lib/token-service:/usr/sbin/nologin", said[0])
    assert said[1:4] == ["600 root /etc/token-service/environment", "755 root /usr/bin/token-service", "1"]
    assert said[4] == "verified"
    rest = "\n".join(said[5:])
    assert "cannot access '/usr/bin/token-service'" in rest and "\n/etc/token-service/environment" in rest
    assert "/var/lib/token-service is left as it is, with its keys" in rest
    assert "cannot access '/etc/token-service'" in rest and rest.endswith("/var/lib/token-service/token-service.db")


# --- the unit --------------------------------------------------------------------------------------------------------

def settings_of(name):
    """All values of a setting of the unit, in their order."""
    return re.findall(rf"(?m)^{name}=(.*)$", UNIT.read_text())


def needs_systemd():
    if not shutil.which("systemd-analyze"):
        pytest.skip("there is no systemd-analyze: Debian's package systemd")


def test_systemd_finds_the_service_well_kept():
    needs_systemd()
    done = run("systemd-analyze", "security", "--offline=true", "--no-pager", f"--threshold={EXPOSURE}", UNIT)
    assert done.returncode == 0, done.stdout + done.stderr


def test_without_its_sandbox_it_would_not(tmp_path):
    """Or the threshold would show nothing."""
    needs_systemd()
    plain = tmp_path / UNIT.name
    plain.write_text(re.sub("(?m)^(Protect|Private|Restrict|SystemCall|Capability).*$", "", UNIT.read_text()))
    done = run("systemd-analyze", "security", "--offline=true", "--no-pager", f"--threshold={EXPOSURE}", plain)
    assert done.returncode != 0 and "Overall exposure level" in done.stdout, done.stdout + done.stderr


def calls_of(names):
    """The system calls that these names of systemd's filters stand for."""
    found = set()
    for name in names:
        if name.startswith("@"):
            lines = said_by("systemd-analyze", "syscall-filter", "--no-pager", name).splitlines()
            found |= calls_of(line.strip() for line in lines[1:] if line.strip() and "#" not in line)
        else:
            found.add(name)
    return found


def allowed_calls():
    allowed = set()
    for line in settings_of("SystemCallFilter"):
        if line.startswith("~"):
            allowed -= calls_of(line[1:].split())
        else:
            allowed |= calls_of(line.split())
    return allowed


def test_it_does_nothing_that_the_sandbox_forbids(tmp_path):
    """What systemd would forbid is looked for among the system calls of a life: start, calls, reload, rotation, end."""
    needs_systemd()
    if not shutil.which("strace"):
        pytest.skip("there is no strace: Debian's package of that name")
    probe = run("strace", "-f", "-o", tmp_path / "probe", "true")
    if probe.returncode != 0:
        pytest.skip(f"{MACHINE_LACKS}right to trace processes: {probe.stderr.strip()}")
    trace = tmp_path / "trace"
    # -D: the process that is started is the program's, not strace's.
    server = Server(tmp_path, {"TOKEN_LOGIN": "builtin"}, ["strace", "-D", "-f", "-q", "-o", str(trace)])
    agent = server.add_client("agent")
    with server:
        server.settled()
        token = server.token(agent)
        assert server.verify(agent, token).json()["valid"]
        assert server.revoke(agent, token).status_code == 200
        assert server.post("/admin/rotate-keys", auth=agent, json={"immediate": True}).status_code < 500
        assert server.get("/metrics").status_code == 200
    server.until(lambda: "+++ exited with 0 +++" in trace.read_text().splitlines()[-1], "the trace has no end")
    lines = trace.read_text().splitlines()
    calls = {found[1] for line in lines if (found := re.match(r"\d+ +(\w+)\(", line))}
    assert len(calls) > 30
    allowed = allowed_calls() | {"execve"} | ({"fchown"} if os.geteuid() == 0 else set())  # SQLite's, as root alone
    assert calls <= allowed, calls - allowed
    families = set(" ".join(settings_of("RestrictAddressFamilies")).split())
    assert {found[1] for line in lines if (found := re.search(r"\bsocket(?:pair)?\((AF_\w+)", line))} <= families
    assert not [line for line in lines if "PROT_WRITE|PROT_EXEC" in line]  # MemoryDenyWriteExecute
    data = str(server.data_dir)
    written = {found[1] for line in lines if (found := re.search(r'"([^"]+)", O_(?:RDWR|WRONLY)\S*', line))}
    written = {path for path in written if path.startswith("/")}  # else below a folder that is open
    assert written and all(path.startswith((data, "/dev/null")) for path in written), written  # ProtectSystem


def test_a_stop_has_the_time_that_it_takes():
    drain = int(re.search(r"`TOKEN_DRAIN_TIMEOUT` \| \S+ \| `(\d+)`",
                          (ROOT / "docs/configuration.md").read_text())[1])
    assert int(settings_of("TimeoutStopSec")[0]) > drain


def test_the_settings_in_its_example_are_settings():
    text = re.sub(r"(?m)^#(?=[A-Z_]+=)", "", (ROOT / "packaging/environment").read_text())
    given = dict(line.split("=", 1) for line in text.splitlines() if line and not line.startswith("#"))
    assert "TOKEN_ISSUER" in given
    done = run(BINARY, "serve", "--check-config", env={"PATH": os.environ["PATH"]} | given)
    assert done.returncode == 0 and not done.stderr, done.stderr
    assert all(f"{name}={value}" in done.stdout for name, value in given.items())
