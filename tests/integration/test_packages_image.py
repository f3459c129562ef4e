"""The image of a container (`./dev image`), made without an engine: read by umoci, and run as it says there."""

import json
import os
import re
import shutil
import stat
import subprocess
import tarfile
from datetime import datetime
from pathlib import Path

import pytest

from roots import Rooted, made_by, why_not, works
from service import BINARY, ROOT

if why_not():
    pytest.skip(why_not(), allow_module_level=True)
if not shutil.which("umoci"):
    pytest.skip("there is no umoci: Debian's package of that name", allow_module_level=True)

USER = 65532
VERSION = subprocess.run([BINARY, "--version"], capture_output=True, text=True, check=True).stdout.split()[1]


def blob(layout, descriptor):
    return layout / "blobs" / descriptor["digest"].replace(":", "/")


@pytest.fixture(scope="module")
def layout():
    return made_by("image")


@pytest.fixture(scope="module")
def manifest(layout):
    index = json.loads((layout / "index.json").read_text())
    return json.loads(blob(layout, index["manifests"][0]).read_text())


@pytest.fixture(scope="module")
def image(layout, manifest):
    return json.loads(blob(layout, manifest["config"]).read_text())


@pytest.fixture(scope="module")
def unpacked(layout, tmp_path_factory):
    """What umoci makes of it: config.json, by which an engine runs it, and rootfs/."""
    bundle = tmp_path_factory.mktemp("image") / "bundle"
    subprocess.run(["umoci", "unpack", *(["--rootless"] if os.geteuid() else []), "--image", f"{layout}:{VERSION}",
                    bundle], check=True, capture_output=True)
    return bundle


@pytest.fixture(scope="module")
def process(unpacked):
    return json.loads((unpacked / "config.json").read_text())["process"]


def test_it_says_how_it_is_run(process, image):
    assert process["args"] == ["/usr/bin/token-service", "serve"]
    assert (process["user"]["uid"], process["user"]["gid"]) == (USER, USER)
    assert {"TOKEN_LISTEN=:8080", "TOKEN_DATA_DIR=/var/lib/token-service", "TOKEN_LOG_FORMAT=json"} <= {*process["env"]}
    config = image["config"]
    assert config["ExposedPorts"] == {"8080/tcp": {}} and config["StopSignal"] == "SIGTERM"
    assert config["Labels"]["org.opencontainers.image.version"] == VERSION
    assert image["os"] == "linux" and image["architecture"] == subprocess.run(
        ["dpkg", "--print-architecture"], capture_output=True, text=True, check=True).stdout.strip()


def test_it_runs_as_it_says(unpacked, process, tmp_path):
    """By its own user, in its own root, over its own settings; only the port is another one."""
    settings = dict(line.split("=", 1) for line in process["env"]) | {"TOKEN_LISTEN": "127.0.0.1:0"}
    server = Rooted(tmp_path, unpacked / "rootfs", process["args"][0], settings, f"{USER}:{USER}")
    server.settings.pop("TOKEN_FAILURE_LIMIT")
    works(server)


def test_there_is_nothing_in_it_that_it_does_not_need(unpacked):
    root = unpacked / "rootfs"
    files = {path.relative_to(root): path.lstat() for path in root.rglob("*")}
    programs = [path for path, about in files.items() if stat.S_ISREG(about.st_mode) and path.parts[1:2] == ("bin",)]
    assert programs == [Path("usr/bin/token-service")]
    assert not [path for path, about in files.items() if about.st_mode & (stat.S_ISUID | stat.S_ISGID)]
    assert [path for path, about in files.items() if about.st_mode & 0o022] == [Path("tmp")]
    assert {path.parts[0] for path in files} == {"etc", "lib64", "tmp", "usr", "var"}


def test_the_data_directory_is_the_users_alone(layout, manifest):
    with tarfile.open(blob(layout, manifest["layers"][-1])) as layer:
        about = layer.getmember("var/lib/token-service")
        others = [member for member in layer if member.name != "var/lib/token-service"]
    assert (about.uid, about.gid, about.mode) == (USER, USER, 0o700)
    assert all((member.uid, member.gid) == (0, 0) for member in others)


def test_the_same_in_one_file(layout):
    archive, = layout.parent.glob("token-service-image-*.tar")
    with tarfile.open(archive) as tar:
        found = {member.name: tar.extractfile(member).read() for member in tar if member.isfile()}
    assert found == {str(path.relative_to(layout)): path.read_bytes() for path in layout.rglob("*") if path.is_file()}


def test_the_same_files_give_the_same_bytes(layout, image, tmp_path):
    seconds = int(datetime.fromisoformat(image["created"].replace("Z", "+00:00")).timestamp())
    triplet = subprocess.run(["gcc", "-print-multiarch"], capture_output=True, text=True, check=True).stdout.strip()
    subprocess.run([ROOT / "packaging/image.py", tmp_path, ROOT / "build/release", VERSION, str(seconds),
                    f"/usr/lib/{triplet}"], check=True, cwd=tmp_path, umask=0o077,
                   env=os.environ | {"TZ": "Asia/Kolkata"})
    assert (tmp_path / "image/index.json").read_bytes() == (layout / "index.json").read_bytes()


def test_an_engines_recipe_adds_the_same_layers(layout):
    added = re.findall(r"(?m)^ADD (\S+) /$", (ROOT / "packaging/Containerfile").read_text())
    assert added and all((layout.parent / name).is_file() for name in added)
