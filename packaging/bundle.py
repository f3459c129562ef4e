"""What a program needs to run where there is nothing: its loader, its libraries, those that it loads later (its ELF
notes name them), and the certificates that Debian trusts. The libraries are Debian's, byte for byte, but for those that
are never called (stub.py). Nothing is run, so they can be of another architecture."""

import json
import re
import subprocess
from pathlib import Path

import stub

CERTIFICATES = Path("/usr/share/ca-certificates/mozilla")  # Debian's own; what this machine alone trusts stays here
LOADED_ANYWAY = ["libgcc_s.so.1"]  # by the C library, when a thread is cancelled


def said_by(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def needed_by(path):
    """The names of the libraries that must be there when it is loaded."""
    dynamic = said_by("readelf", "--dynamic", "--wide", str(path))
    if found := re.search(r"\((?:RUNPATH|RPATH)\).*\[(?!/var/task/lib\])(.*)\]", dynamic):
        raise SystemExit(f"{path} looks for libraries in {found[1]}, where they will not be")
    return re.findall(r"\(NEEDED\).*\[(.*)\]", dynamic)


def loaded_later_by(path):
    """The names of those that it loads when it needs them (base/library.h), each with its priority."""
    notes = said_by("readelf", "--string-dump=.note.dlopen", "--wide", str(path))
    found = [note for text in re.findall(r"\[\{.*\}\]", notes) for note in json.loads(text)]
    return [(name, note["priority"]) for note in found for name in note["soname"]]


def interpreter_of(path):
    """The path of its loader."""
    return re.search(r"program interpreter: (\S+)\]", said_by("readelf", "--program-headers", "--wide", str(path)))[1]


def find(name, folders):
    for folder in folders:
        if (path := Path(folder, name)).exists():
            return path
    raise SystemExit(f"there is no {name} in {', '.join(map(str, folders))}")


def libraries_of(program, folders, compiler, scratch):
    """All of them, the loader too: names and paths, in the order of their names. `folders`: where Debian's are;
    `scratch`: where stubs are made, by `compiler`."""
    found, stubbed = {}, set()
    todo = [*needed_by(program), *(name for name, _ in loaded_later_by(program)), *LOADED_ANYWAY,
            Path(interpreter_of(program)).name]
    while todo:
        name = todo.pop()
        if stub.STUBBED.match(name):
            stubbed.add(name)
        elif name not in found:
            found[name] = find(name, folders)
            todo += needed_by(found[name])
    users = list(found.values())
    found |= {name: stub.make(name, find(name, folders), users, compiler, scratch) for name in stubbed}
    return dict(sorted(found.items()))


def certificates():
    """In PEM, one after the other."""
    found = sorted(CERTIFICATES.glob("*.crt"))
    if len(found) < 50:
        raise SystemExit(f"{CERTIFICATES} has {len(found)} certificates: Debian's package ca-certificates is missing")
    return b"".join(path.read_bytes().rstrip() + b"\n" for path in found)


def package_of(path):
    """The package of Debian's that a file of this machine is from. Its database may have the path from before /lib
    became a link."""
    real = str(path.resolve())
    for name in (real, real.removeprefix("/usr"), "/usr" + real):
        done = subprocess.run(["dpkg-query", "--search", name], capture_output=True, text=True, check=False)
        if done.returncode == 0:
            return done.stdout.split(": ")[0]
    raise SystemExit(f"no package has {real}")


def versions(program, libraries, sysroot=None):
    """Which packages, in which versions: what to compare with Debian's security announcements."""
    if sysroot:
        return program + "\n" + Path(sysroot, "packages").read_text()
    names = {package_of(path) for name, path in libraries.items() if not stub.STUBBED.match(name)}
    lines = said_by("dpkg-query", "--show", "--showformat", "${Package} ${Version}\n", "ca-certificates", *names)
    return "\n".join([program, *sorted(set(lines.splitlines()))]) + "\n"
