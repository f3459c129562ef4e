#!/usr/bin/env python3
"""The image of a container, as the Open Container Initiative's image layout 1.0, made without an engine: what
packaging/Containerfile says, with two layers: what comes from Debian, and the program.

    packaging/image.py FOLDER BUILD_DIR VERSION SECONDS LIBRARIES…

FOLDER gets image/ (the layout), token-service-image-ARCHITECTURE.tar (the same in one file, for `podman load` and
`skopeo copy oci-archive:…`) and the two layers for an engine. SECONDS since 1970: the time of all that is in it, so
that from the same files the same bytes are made. LIBRARIES…: the folders of Debian's libraries.
"""
import argparse
import datetime
import gzip
import hashlib
import io
import json
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

import bundle

HERE = Path(__file__).resolve().parent
USER = 65532  # as others' images without a shell have it; packaging/Containerfile names it too
DATA_DIR = "var/lib/token-service"
ARCHITECTURES = {"x86_64-linux-gnu": "amd64", "aarch64-linux-gnu": "arm64"}
TYPE = "application/vnd.oci.image."
FILES = {
    "etc/passwd": f"root:x:0:0:root:/:/nonexistent\ntoken-service:x:{USER}:{USER}::/{DATA_DIR}:/nonexistent\n",
    "etc/group": f"root:x:0:\ntoken-service:x:{USER}:\n",
    "etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
}


class Layer:
    """A tar file in memory; folders are made as they are needed."""

    def __init__(self, seconds):
        self.seconds = seconds
        self.bytes = io.BytesIO()
        self.archive = tarfile.open(fileobj=self.bytes, mode="w", format=tarfile.GNU_FORMAT)
        self.folders = set()

    def _add(self, info, data=None, owner=0):
        info.mtime, info.uid, info.gid = self.seconds, owner, owner
        self.archive.addfile(info, data)

    def folder(self, path, mode=0o755, owner=0):
        parent = str(Path(path).parent)
        if parent != ".":
            self.folder(parent)
        if path not in self.folders:
            self.folders.add(path)
            info = tarfile.TarInfo(path)
            info.type, info.mode = tarfile.DIRTYPE, mode
            self._add(info, owner=owner)

    def file(self, path, data, mode=0o644):
        self.folder(str(Path(path).parent))
        info = tarfile.TarInfo(path)
        info.size, info.mode = len(data), mode
        self._add(info, io.BytesIO(data))

    def done(self):
        self.archive.close()
        return self.bytes.getvalue()


def base_layer(libraries, interpreter, triplet, version, seconds):
    layer = Layer(seconds)
    layer.folder("tmp", 0o1777)
    for path, text in FILES.items():
        layer.file(path, text.encode())
    layer.file("etc/ssl/certs/ca-certificates.crt", bundle.certificates())
    layer.file("usr/share/token-service/versions.txt", bundle.versions(version, libraries).encode())
    for name, path in libraries.items():
        layer.file(interpreter.lstrip("/") if name == Path(interpreter).name else f"usr/lib/{triplet}/{name}",
                   path.read_bytes(), 0o755)
    return layer.done()


def program_layer(program, seconds):
    layer = Layer(seconds)
    with tempfile.NamedTemporaryFile() as stripped:
        subprocess.run(["strip", "--strip-unneeded", "--remove-section=.comment", "-o", stripped.name, program],
                       check=True)
        layer.file("usr/bin/token-service", Path(stripped.name).read_bytes(), 0o755)
    layer.folder(DATA_DIR, 0o700, USER)
    return layer.done()


def recipe():
    """The configuration that packaging/Containerfile says."""
    config = {"Env": [], "Labels": {}}
    for line in (HERE / "Containerfile").read_text().splitlines():
        word, _, rest = line.partition(" ")
        if word == "ENV":
            config["Env"].append(rest)
        elif word == "LABEL":
            name, _, value = rest.partition("=")
            config["Labels"][name] = json.loads(value)
        elif word in ("ENTRYPOINT", "CMD"):
            config[word.capitalize()] = json.loads(rest)
        elif word in ("EXPOSE", "VOLUME"):
            config[{"EXPOSE": "ExposedPorts", "VOLUME": "Volumes"}[word]] = {rest: {}}
        elif word in ("USER", "WORKDIR", "STOPSIGNAL"):
            config[{"USER": "User", "WORKDIR": "WorkingDir", "STOPSIGNAL": "StopSignal"}[word]] = rest
        elif word not in ("", "#", "FROM", "ADD"):
            raise SystemExit(f"packaging/Containerfile: image.py doesn't know {word}")
    return config


class Layout:
    """An image layout: files by the hash of what is in them, and an index."""

    def __init__(self, folder):
        self.folder = folder
        (folder / "blobs/sha256").mkdir(parents=True)
        (folder / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')

    def blob(self, kind, data):
        digest = hashlib.sha256(data).hexdigest()
        (self.folder / "blobs/sha256" / digest).write_bytes(data)
        return {"mediaType": TYPE + kind, "digest": f"sha256:{digest}", "size": len(data)}

    def blob_of(self, kind, value):
        return self.blob(kind, json.dumps(value, sort_keys=True, separators=(",", ":")).encode())


def write_layout(folder, layers, architecture, version, seconds):
    layout = Layout(folder)
    created = datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    config = recipe()
    config["Labels"]["org.opencontainers.image.version"] = version
    image = layout.blob_of("config.v1+json", {
        "architecture": architecture, "os": "linux", "created": created, "config": config,
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(each).hexdigest()}" for each in layers]},
        "history": [{"created": created, "created_by": "packaging/image.py"}] * len(layers)})
    manifest = layout.blob_of("manifest.v1+json", {
        "schemaVersion": 2, "mediaType": TYPE + "manifest.v1+json", "config": image,
        "layers": [layout.blob("layer.v1.tar+gzip", gzip.compress(each, 6, mtime=0)) for each in layers]})
    manifest["annotations"] = {"org.opencontainers.image.ref.name": version}
    manifest["platform"] = {"architecture": architecture, "os": "linux"}
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "mediaType": TYPE + "index.v1+json",
                                                   "manifests": [manifest]}))


def write_archive(path, folder, seconds):
    layer = Layer(seconds)
    for file in sorted(folder.rglob("*")):
        if file.is_file():
            layer.file(str(file.relative_to(folder)), file.read_bytes())
    path.write_bytes(layer.done())


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("build", type=Path)
    parser.add_argument("version")
    parser.add_argument("seconds", type=int)
    parser.add_argument("libraries", nargs="+")
    given = parser.parse_args()
    program = given.build / "token-service"
    triplet = Path(given.libraries[0]).name
    with tempfile.TemporaryDirectory() as scratch:
        libraries = bundle.libraries_of(program, given.libraries, "gcc", scratch)
        layers = [base_layer(libraries, bundle.interpreter_of(program), triplet, given.version, given.seconds),
                  program_layer(program, given.seconds)]
    new = given.folder / "image.new"
    shutil.rmtree(new, ignore_errors=True)
    write_layout(new, layers, ARCHITECTURES[triplet], given.version, given.seconds)
    shutil.rmtree(given.folder / "image", ignore_errors=True)
    new.rename(given.folder / "image")
    write_archive(given.folder / f"token-service-image-{ARCHITECTURES[triplet]}.tar", given.folder / "image",
                  given.seconds)
    for name, layer in zip(("base", "program"), layers):
        (given.folder / f"token-service-{name}.tar").write_bytes(layer)


main()
