#!/usr/bin/env python3
"""The Debian package, for the release that it is made on: the program, its man page, its systemd unit and its settings.

    packaging/deb.py DEB PROGRAM VERSION MAINTAINER SECONDS

SECONDS since 1970: the time of all that is in it, so that from the same files the same bytes are made. What it depends
on is what the program is linked with; what it loads when it needs it (base/library.h) is recommended.
"""
import email.utils
import gzip
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import bundle

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent

FILES = [  # from, to, mode
    ("packaging/token-service.service", "usr/lib/systemd/system/token-service.service", 0o644),
    ("packaging/environment", "etc/token-service/environment", 0o600),
    ("packaging/debian/copyright", "usr/share/doc/token-service/copyright", 0o644),
]
SCRIPTS = ["postinst", "prerm", "postrm"]


def install(path, data, mode):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    path.chmod(mode)


def compressed(text):
    return gzip.compress(text, 9, mtime=0)


def depends_on(program, scratch):
    """By the symbols that it uses of each library."""
    install(scratch / "debian/control", b"Source: token-service\n\nPackage: token-service\nArchitecture: any\n", 0o644)
    said = subprocess.run(["dpkg-shlibdeps", "-O", f"-e{program}"], cwd=scratch, check=True, capture_output=True,
                          text=True)
    return said.stdout.strip().removeprefix("shlibs:Depends=")


def recommends(program):
    folder = Path("/usr/lib", bundle.said_by("gcc", "-print-multiarch").strip())
    return ", ".join(sorted(bundle.package_of(bundle.find(name, [folder])).split(":")[0]
                            for name, priority in bundle.loaded_later_by(program) if priority == "recommended"))


def changelog(version, maintainer, seconds):
    return (f"token-service ({version}) unstable; urgency=medium\n\n  * What changed is in changelog.gz.\n\n"
            f" -- {maintainer}  {email.utils.formatdate(seconds)}\n")


def control(tree, values):
    text = (HERE / "debian/control").read_text()
    for name, value in values.items():
        text = text.replace(f"@{name}@", value)
    install(tree / "DEBIAN/control", text.encode(), 0o644)
    install(tree / "DEBIAN/conffiles", (HERE / "debian/conffiles").read_bytes(), 0o644)
    for name in SCRIPTS:
        install(tree / "DEBIAN" / name, (HERE / "debian" / name).read_bytes(), 0o755)
    files = sorted(path for path in tree.rglob("*") if path.is_file() and "DEBIAN" not in path.parts)
    sums = subprocess.run(["md5sum", *(path.relative_to(tree) for path in files)], cwd=tree, check=True,
                          capture_output=True, text=True).stdout
    install(tree / "DEBIAN/md5sums", sums.encode(), 0o644)


def main():
    deb, program, version, maintainer, seconds = Path(sys.argv[1]), *sys.argv[2:]
    os.umask(0o022)
    with tempfile.TemporaryDirectory() as scratch:
        scratch = Path(scratch)
        tree = scratch / "tree"
        for source, target, mode in FILES:
            install(tree / target, (ROOT / source).read_bytes(), mode)
        binary = tree / "usr/bin/token-service"
        binary.parent.mkdir(parents=True)
        subprocess.run(["strip", "--strip-unneeded", "--remove-section=.comment", "-o", binary, program], check=True)
        binary.chmod(0o755)
        documents = tree / "usr/share/doc/token-service"
        install(tree / "usr/share/man/man1/token-service.1.gz",
                compressed((ROOT / "docs/token-service.1").read_bytes()), 0o644)
        install(documents / "changelog.gz", compressed((ROOT / "CHANGELOG.md").read_bytes()), 0o644)
        install(documents / "changelog.Debian.gz",
                compressed(changelog(version, maintainer, int(seconds)).encode()), 0o644)
        size = sum(path.stat().st_size for path in tree.rglob("*") if path.is_file()) // 1024 + 1
        control(tree, {
            "VERSION": version, "MAINTAINER": maintainer, "SIZE": str(size),
            "ARCHITECTURE": bundle.said_by("dpkg", "--print-architecture").strip(),
            "DEPENDS": depends_on(binary, scratch), "RECOMMENDS": recommends(binary)})
        subprocess.run(["dpkg-deb", "--root-owner-group", "-Zxz", "--build", tree, deb.with_suffix(".new")], check=True,
                       stdout=subprocess.DEVNULL, env=os.environ | {"SOURCE_DATE_EPOCH": seconds})
    shutil.move(deb.with_suffix(".new"), deb)


main()
