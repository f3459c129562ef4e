"""The zip for AWS Lambda (`./dev lambda`): it needs nothing but the kernel, and the same files give the same bytes."""

import os
import re
import shutil
import stat
import subprocess
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import redis_servers
from issued import ISSUER, check_by_pyjwt
from lambda_emulator import EMULATOR, UnderEmulator, need_emulator
from lambda_events import schedule
from network import MACHINE_LACKS
from roots import Rooted, inside, made_by, why_not, works
from service import BINARY, ROOT

if why_not():
    pytest.skip(why_not(), allow_module_level=True)

PROGRAM = "/var/task/bootstrap"
LIMIT = 10_000_000
INSTANCES_USER = "993:990"  # as whom Managed Instances run a function


@pytest.fixture(scope="module")
def made():
    return made_by("lambda")


@pytest.fixture
def root(made, tmp_path):
    """Nothing but what Lambda unpacks from the zip, and a folder for what is temporary."""
    root = tmp_path / "root"
    task = root / "var/task"
    with zipfile.ZipFile(made) as archive:
        for info in archive.infolist():
            path = Path(archive.extract(info, task))
            path.chmod(info.external_attr >> 16 & 0o7777)
    (root / "tmp").mkdir()
    (root / "tmp").chmod(0o1777)
    return root


@pytest.fixture
def there(root, tmp_path):
    return Rooted(tmp_path, root, PROGRAM)


def test_it_has_the_program_and_all_that_it_needs(made):
    with zipfile.ZipFile(made) as archive:
        modes = {info.filename: info.external_attr >> 16 for info in archive.infolist()}
        times = {info.date_time for info in archive.infolist()}
    assert modes.pop("bootstrap") == stat.S_IFREG | 0o755
    assert {name.split("/")[0] for name in modes} == {"lib"} and len(times) == 1
    assert {"lib/libc.so.6", "lib/libcrypto.so.3", "lib/libcurl.so.4", "lib/libpq.so.5", "lib/libsqlite3.so.0",
            "lib/ca-certificates.crt", "lib/versions.txt"} < modes.keys()
    assert all(stat.S_ISREG(mode) and not mode & 0o022 and mode & 0o444 == 0o444 for mode in modes.values())
    assert not [name for name in modes if "gnutls" in name]  # what stands on it is never called (packaging/stub.py)
    assert made.stat().st_size <= LIMIT


def test_it_runs_where_nothing_else_is(there, root):
    assert sorted(path.name for path in root.iterdir()) == ["tmp", "var"]
    own = subprocess.run([BINARY, "--version"], capture_output=True, text=True, check=True).stdout
    assert there.run("--version").stdout == own
    assert there.run("help").stdout.startswith("token-service: ")


def test_it_serves_where_nothing_else_is(there):
    works(there)


class Unpacked(UnderEmulator, Rooted):
    """The zip as a function, as AWS finds it: the emulator is in the root too, and looks for the program by itself."""

    def __init__(self, home, root, at_once=1):
        user = INSTANCES_USER if at_once > 1 else None
        super().__init__(home, root, PROGRAM, {"TOKEN_ISSUER": ISSUER}, user)
        self.at_once, self.start_of_emulator = at_once, inside(root)
        shutil.copy(EMULATOR, root / "emulator")
        (root / "dev").mkdir()
        (root / "dev/null").touch()  # what it gives a program to read

    def words(self, *options):
        return [*self.start_of_emulator, "/emulator", *options]


@pytest.fixture
def unpacked(root, tmp_path):
    """unpacked(at_once) is started, and ends with the test."""
    need_emulator()
    made = []

    def start(at_once=1):
        made.append(Unpacked(tmp_path, root, at_once))
        return made[-1].start()

    yield start
    for function in made:
        function.close()


def test_it_answers_an_http_api_under_awss_emulator(unpacked):
    function = unpacked()
    agent = function.add_client("agent")
    token = function.token(agent)  # the first event: by a POST /token of API Gateway's
    assert check_by_pyjwt(function, token, "RS256")["client_id"] == "agent"
    assert function.verify(agent, token).json()["valid"]
    assert function.revoke(agent, token).status_code == 200
    assert not function.is_active(agent, token)
    assert function.invoke(schedule())["body"]["complete"] is True


@pytest.mark.skipif(os.geteuid() != 0, reason=f"{MACHINE_LACKS}right to be another user, as the emulator then wants it")
def test_it_answers_several_at_once_as_managed_instances_do(unpacked):
    function = unpacked(4)
    agent = function.add_client("agent")

    def use(_):
        token = function.token(agent)
        return token, function.verify(agent, token).json()["valid"]

    with ThreadPoolExecutor(2 * function.at_once) as pool:
        found = list(pool.map(use, range(60)))
    assert all(valid is True for _, valid in found) and len({token for token, _ in found}) == len(found)
    assert check_by_pyjwt(function, found[-1][0], "RS256")


@pytest.mark.parametrize(("part", "settings"), [
    ("store", {"SUPABASE_URL": "http://127.0.0.1:1", "SUPABASE_SERVICE_KEY": "sb_secret_nobodys"}),
    ("store", {"DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none"}),
    ("signer", {"KMS_KEY_ID": "alias/none", "AWS_REGION": "eu-west-1", "AWS_ACCESS_KEY_ID": "id",
                "AWS_SECRET_ACCESS_KEY": "secret", "AWS_ENDPOINT_URL": "http://127.0.0.1:1"}),
])
def test_libraries_that_are_loaded_later_are_there_too(there, part, settings):
    good, why = there.findings(**settings)[part]
    assert not good and "127.0.0.1:1" in why, why  # it tried
    for library in Path(there.data_dir.parents[1], "var/task/lib").glob("lib[cp][uq]*"):
        library.unlink()
    good, why = there.findings(**settings)[part]
    assert not good and "is missing" in why, why


def test_the_hosts_libraries_are_not_taken(there, root):
    (root / "lib64").mkdir()
    for library in (root / "var/task/lib").glob("*.so*"):
        (root / "lib64" / library.name).write_text("not a library")
    there.settings["LD_LIBRARY_PATH"] = "/lib64:/usr/lib64"  # as Lambda sets it
    assert there.run("--version").stdout
    (root / "var/task/lib/libsqlite3.so.0").unlink()
    assert "libsqlite3.so.0" in there.run("--version", expect=127).stderr


def test_it_trusts_the_certificates_of_the_machine_or_else_its_own(there, root, start_redis):
    redis = start_redis(redis_servers.with_tls)
    (root / "etc").mkdir()
    (root / "etc/hosts").write_text("127.0.0.1 localhost\n")  # as there is on Lambda
    settings = {"REDIS_URL": f"rediss://localhost:{redis.port}"}
    good, why = there.findings(**settings)["cache"]
    assert not good and "certificate" in why, why

    own, machines = root / "var/task/lib/ca-certificates.crt", root / "etc/pki/tls/certs/ca-bundle.crt"
    public = own.read_bytes()
    own.write_bytes(public + (redis.home / "ca.pem").read_bytes())
    assert "certificate" not in there.findings(**settings)["cache"][1]

    machines.parent.mkdir(parents=True)
    machines.write_bytes(public)  # Amazon Linux's: newer than the zip
    assert "certificate" in there.findings(**settings)["cache"][1]
    machines.write_bytes((redis.home / "ca.pem").read_bytes())
    assert "certificate" not in there.findings(**settings)["cache"][1]


def certificates_in(path):
    """What each says, without the lines in which it is written."""
    return {"".join(text.split()) for text in
            re.findall("-----BEGIN CERTIFICATE-----(.*?)-----END", path.read_text(), re.DOTALL)}


def test_it_trusts_what_debian_trusts_and_not_what_this_machine_alone_does(root):
    found = certificates_in(root / "var/task/lib/ca-certificates.crt")
    debians = set().union(*map(certificates_in, Path("/usr/share/ca-certificates/mozilla").iterdir()))
    assert found == debians and len(found) > 100  # none of /usr/local/share/ca-certificates


def test_it_says_which_versions_are_in_it(root):
    said = (root / "var/task/lib/versions.txt").read_text().splitlines()
    version = subprocess.run(["dpkg-query", "-W", "-f", "${Version}", "libc6"], capture_output=True, text=True,
                             check=True).stdout
    assert said[0].startswith("token-service ") and f"libc6 {version}" in said, said
    assert {re.match("[a-z]+[0-9]*", line)[0] for line in said} > {"libcurl4", "libpq5", "libssl3", "libsqlite3"}


def test_the_same_files_give_the_same_bytes(made, tmp_path):
    """However they lie there. `./dev check` also compiles twice (twice)."""
    build = tmp_path / "build"
    build.mkdir()
    shutil.copy(ROOT / "build/release/bootstrap", build / "bootstrap")
    os.utime(build / "bootstrap", (1, 1))
    triplet = subprocess.run(["gcc", "-print-multiarch"], capture_output=True, text=True, check=True).stdout.strip()
    version = subprocess.run([BINARY, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    again = tmp_path / "again.zip"
    subprocess.run([ROOT / "packaging/lambda.py", again, build, version, f"/usr/lib/{triplet}"], check=True,
                   cwd=tmp_path, umask=0o077, env=os.environ | {"TZ": "Asia/Kolkata", "LC_ALL": "C"})
    assert again.read_bytes() == made.read_bytes()


def test_a_library_that_is_missing_stops_the_making(tmp_path):
    (tmp_path / "empty").mkdir()
    done = subprocess.run([ROOT / "packaging/lambda.py", tmp_path / "x.zip", ROOT / "build/release", "x",
                           tmp_path / "empty"], capture_output=True, text=True, check=False)
    assert done.returncode == 1 and re.match(r"there is no \S+ in /", done.stderr), done.stderr
    assert not (tmp_path / "x.zip").exists()


def test_the_root_is_really_empty(root):
    """Or the tests above would show nothing."""
    with pytest.raises(subprocess.CalledProcessError):
        subprocess.run([*inside(root), "/bin/true"], check=True, capture_output=True)
