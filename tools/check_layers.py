#!/usr/bin/env python3
"""Holds the sources to the picture in ARCHITECTURE.md: which room may include which, and who may see which library.

What a file includes by way of other headers counts like what it includes itself: whatever it sees, it can use. So a
header includes only what its own declarations need, and names the rest: `struct store;`.

A room that isn't in the table is a finding too, so that a new one gets its place here.
"""
import functools
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
INCLUDE = re.compile(r'^\s*#\s*include\s*(?:"([^"]+)"|<([^>]+)>)', re.MULTILINE)

# What a room may see beside itself. Each row lists all of it, so that a row can be read alone. Some of the rooms are
# still to come. aws is below the store: the events that it sends come to it as plain texts.
BELOW = {
    "base": "",
    "jose": "base",
    "wire": "base",
    "observe": "base",
    "net": "wire observe base",
    "redis": "observe base",
    "aws": "net observe jose base",
    "store": "net observe jose base",
    "cache": "redis observe jose base",
    "keys": "store aws observe jose base",
    "revocation": "keys store cache observe jose base",
    "service": "revocation keys store cache aws wire observe jose base",
    "oauth": "service revocation keys store cache net wire observe jose base",
    "http": "service wire observe jose base",
    "lambda": "oauth service net wire observe jose base",
    "console": "oauth service wire observe jose base",
    "app": "http lambda console oauth service revocation keys store cache aws observe jose base",
    "cli": "app oauth service wire observe jose base",
    "main": "cli app lambda service observe base",
}

# The libraries, by the start of their headers' names, and the rooms that know them: each is swapped by changing those.
LIBRARIES = {
    "sqlite3": "store",
    "openssl/": "jose base net aws http redis",
    "curl/": "net",
    "libpq": "store",
    "sys/socket": "net http redis",
    "netdb": "net http redis",
    "sys/un": "http",
}

# jose is pure: functions on bytes, without clock, file or log.
NOT_IN_JOSE = ("time.h", "stdio.h", "unistd.h", "fcntl.h", "dirent.h", "sys/stat.h")


def room_of(name):
    """"service" for "service/issue.c"; "app" for "app.c"."""
    return name.split("/")[0] if "/" in name else name.split(".")[0]


@functools.cache
def includes_of(name):
    """What a file of src/ includes: pairs of ours and a library's, one of which is empty."""
    return INCLUDE.findall((ROOT / "src" / name).read_text())


def seen_from(name):
    """The files of src/ that it sees, each with the one that includes it, nearest first."""
    by = {name: None}
    for each in (queue := [name]):
        for ours, _ in includes_of(each):
            if ours not in by and (ROOT / "src" / ours).is_file():
                by[ours] = each
                queue.append(ours)
    del by[name]
    return by


def findings_of(name):
    room = room_of(name)
    if room not in BELOW:
        yield f"the room {room} is not in the table of tools/check_layers.py"
        return
    told = {room, *BELOW[room].split()}
    for ours, includer in seen_from(name).items():
        if room_of(ours) not in told:
            told.add(room_of(ours))
            by_way = "" if includer == name else f", which {includer} includes"
            yield f'{room} may not see "{ours}"{by_way}'
    for _, theirs in includes_of(name):
        for library, rooms in LIBRARIES.items():
            if theirs.startswith(library) and room not in rooms.split():
                yield f"{room} may not know <{theirs}>"
        if room == "jose" and theirs in NOT_IN_JOSE:
            yield f"jose is pure, and has no use for <{theirs}>"


def main():
    files = sorted((ROOT / "src").rglob("*.[ch]"))
    names = [path.relative_to(ROOT / "src").as_posix() for path in files]
    found = [f"src/{name}: {what}" for name in names for what in findings_of(name)]
    print("\n".join(found) if found else "", end="\n" if found else "")
    if not files:
        print("there are no sources")
    sys.exit(1 if found or not files else 0)


main()
