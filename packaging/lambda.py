#!/usr/bin/env python3
"""The zip of a function on AWS Lambda, for the runtime provided.al2023: `bootstrap`, and in lib/ its loader, all of its
libraries, the certificates that it trusts, and which versions these are. It needs nothing of the host's but the kernel.

    packaging/lambda.py ZIP BUILD_DIR VERSION FOLDER… [--sysroot DIR] [--compiler COMMAND]

FOLDER…: where Debian's libraries are. From the same files the same bytes are made: names in order, one time of day.
"""
import argparse
import tempfile
import zipfile
from pathlib import Path

import bundle

MADE = (1980, 1, 1, 0, 0, 0)  # the earliest that a zip can say
LIMIT = 10_000_000            # a large zip is a slow cold start


def add(archive, name, data, mode):
    info = zipfile.ZipInfo(name, MADE)
    info.create_system = 3  # Unix, or the mode would not count
    info.external_attr = (0o100000 | mode) << 16
    info.compress_type = zipfile.ZIP_DEFLATED
    archive.writestr(info, data, compresslevel=9)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("zip", type=Path)
    parser.add_argument("build", type=Path)
    parser.add_argument("version")
    parser.add_argument("folders", nargs="+")
    parser.add_argument("--sysroot")
    parser.add_argument("--compiler", default="gcc")
    given = parser.parse_args()
    program = given.build / "bootstrap"
    made = given.zip.with_suffix(".new")
    with tempfile.TemporaryDirectory() as scratch:
        libraries = bundle.libraries_of(program, given.folders, given.compiler, scratch)
        with zipfile.ZipFile(made, "w") as archive:
            add(archive, "bootstrap", program.read_bytes(), 0o755)
            for name, path in libraries.items():
                add(archive, f"lib/{name}", path.read_bytes(), 0o755)
            add(archive, "lib/ca-certificates.crt", bundle.certificates(), 0o644)
            add(archive, "lib/versions.txt", bundle.versions(given.version, libraries, given.sysroot).encode(), 0o644)
    if made.stat().st_size > LIMIT:
        raise SystemExit(f"{made} has {made.stat().st_size} bytes: more than {LIMIT}")
    made.replace(given.zip)


main()
