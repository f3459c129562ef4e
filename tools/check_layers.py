#!/usr/bin/env python3
"""Holds the sources to the picture in ARCHITECTURE.md: which room may include which, and who may see which library.

A room that isn't in the table is a finding too, so that a new one gets its place here.
"""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
INCLUDE = re.compile(r'^\s*#\s*include\s*(?:"([^"]+)"|<([^>]+)>)', re.MULTILINE)

# What a room may include beside itself. Each row lists all of it, so that a row can be read alone.
BELOW = {
    "base": "",
    "jose": "base",
    "wire": "base",
    "observe": "base",
    "net": "wire observe jose base",
    "aws": "net observe jose base",
    "store": "aws net observe jose base",
    "cache": "aws net observe jose base",
    "keys": "store aws net observe jose base",
    "revocation": "keys store cache observe jose base",
    "service": "revocation keys store cache wire observe jose base",
    "http": "service wire observe jose base",
    "lambda": "service observe jose base",
    "app": "http lambda service revocation keys store cache aws observe jose base",
    "cli": "app service revocation cache observe jose base",
    "main": "cli app observe base",
}

# The libraries, by the start of their headers' names, and the rooms that know them: each is swapped by changing those.
LIBRARIES = {
    "sqlite3": "store",
    "openssl/": "jose base net aws http",
    "curl/": "net",
    "libpq": "store",
    "sys/socket": "http net",
    "netdb": "http net",
    "sys/un": "http net",
}

# jose is pure: functions on bytes, without clock, file or log.
NOT_IN_JOSE = ("time.h", "stdio.h", "unistd.h", "fcntl.h", "dirent.h", "sys/stat.h")


def room_of(name):
    """"service" for "service/issue.c"; "app" for "app.c"."""
    return name.split("/")[0] if "/" in name else name.split(".")[0]


def findings_of(path):
    name = path.relative_to(ROOT / "src").as_posix()
    room = room_of(name)
    if room not in BELOW:
        yield name, f"the room {room} is not in the table of tools/check_layers.py"
        return
    for ours, theirs in INCLUDE.findall(path.read_text()):
        other = room_of(ours)
        if ours and ours != "version.h" and other != room and other not in BELOW[room].split():
            yield name, f'{room} may not include "{ours}"'
        for library, rooms in LIBRARIES.items():
            if theirs.startswith(library) and room not in rooms.split():
                yield name, f"{room} may not know <{theirs}>"
        if room == "jose" and theirs in NOT_IN_JOSE:
            yield name, f"jose is pure, and has no use for <{theirs}>"


def main():
    files = sorted((ROOT / "src").rglob("*.[ch]"))
    found = [finding for path in files for finding in findings_of(path)]
    for name, what in found:
        print(f"src/{name}: {what}")
    if not files:
        print("there are no sources")
    sys.exit(1 if found or not files else 0)


main()
