#!/usr/bin/env python3
"""Holds every text file of the project to what no compiler checks: functions that C code must not call, names that no
search would find, the length of lines, white space at their ends, and addresses: of machines, and of hosts that the
project has no business with.
"""
import os
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
SKIPPED = {".git", "build", "data", "node_modules", "__pycache__", ".pytest_cache"}

# Why each may not be called; what to use is in base/mem.h, base/json.h and POSIX's _r functions.
BANNED = {
    "knows no bound": "strcpy strcat sprintf vsprintf gets stpcpy strncpy strncat wcscpy wcscat",
    "ends nothing, or reads what isn't there": "scanf sscanf fscanf vscanf vsscanf",
    "can't say that the text is no number": "atoi atol atoll atof",
    "keeps state that threads share": "strtok localtime gmtime ctime asctime gethostbyname gethostbyaddr readdir_r",
    "can be foretold": "rand srand rand_r random srandom drand48 lrand48 mrand48",
    "hands its text to a shell": "system popen",
    "eats the stack": "alloca strdupa strndupa",
    "races for its file": "mktemp tmpnam tempnam",
}
REASONS = {function: reason for reason, functions in BANNED.items() for function in functions.split()}
CALL = re.compile(r"(?<![\w.>])(" + "|".join(REASONS) + r")\s*\(")

# Comments, strings and character constants hold no code.
NO_CODE = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.DOTALL)

# A static function of src: its name begins with its file's.
STATIC = re.compile(r"^(?:MUST_USE |noreturn )*static (?:MUST_USE )?(?:inline )?(?:[A-Za-z_]\w*[ *]+)+?(?:\(\*)?"
                    r"([A-Za-z_]\w*)\((?!\*)", re.MULTILINE)

COLUMNS = 120
CODE = {".c", ".h", ".py", ".mjs", ".lua", ".build", ".sh"}

# A path that is true on one machine alone.
MACHINE = re.compile(r"(?<![\w.$}])/(?:home|root|work|Users|mnt|media)/\w")

# The hosts that a file may name: reserved for examples (RFC 2606, RFC 6761), the platform's, and those that keep the
# standards and licences that we cite.
HOST = re.compile(r"https?://(?:[^/@\s]*@)?([A-Za-z0-9.-]+)")
HOSTS = re.compile(r"(?:.+\.)?(?:example|test|invalid|localhost|example\.(?:com|org|net)|storytailor\.ai"
                   r"|github\.com|rfc-editor\.org|ietf\.org|openid\.net|apache\.org|keepachangelog\.com|semver\.org)"
                   r"|127\.\d+\.\d+\.\d+|169\.254\.\d+\.\d+|0\.0\.0\.0|[a-z]")


def files():
    for folder, folders, names in os.walk(ROOT):
        folders[:] = sorted(set(folders) - SKIPPED)
        yield from (pathlib.Path(folder, name) for name in sorted(set(names) - SKIPPED)) # in a work tree .git is a file


def calls_in(text):
    """Banned calls: their offset and their name."""
    code = NO_CODE.sub(lambda found: re.sub(r"[^\n]", " ", found.group()), text)
    return ((call.start(), call.group(1)) for call in CALL.finditer(code))


def line_findings(path, line):
    is_table = path.suffix == ".md" and line.lstrip().startswith("|")
    if len(line) > COLUMNS and path.suffix not in (".json", ".sum") and not is_table and "://" not in line:
        yield f"{len(line)} columns; there are {COLUMNS}"
    if line != line.rstrip() and path.suffix in CODE:
        yield "white space at the end"
    if MACHINE.search(line):
        yield "a path of one machine"
    # tests name strange hosts on purpose, and docs/aws.md where its prices are from
    if path.name not in ("LICENSE", "aws.md") and "tests" not in path.parts:
        yield from (f"the host {host} has no place here" for host in HOST.findall(line)
                    if not HOSTS.fullmatch(host.lower().rstrip(".")))
    if path.name == "package-lock.json" and '"resolved"' in line:
        yield "the address of a registry: npm config set omit-lockfile-registry-resolved true, and npm install again"


def findings_of(path):
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return  # binary: a corpus, a key in DER
    if "tests/fuzz/corpus" in path.as_posix():
        return  # hostile on purpose
    if path.suffix in (".c", ".h"):
        for offset, function in calls_in(text):
            yield text.count("\n", 0, offset) + 1, f"{function}() {REASONS[function]}"
    if path.suffix == ".c" and ROOT / "src" in path.parents:
        for found in STATIC.finditer(text):
            if not found[1].startswith(path.stem + "_") and found[1] != path.stem:
                yield text.count("\n", 0, found.start(1)) + 1, f"{found[1]}() lacks the prefix {path.stem}_"
    for number, line in enumerate(text.split("\n"), 1):
        yield from ((number, what) for what in line_findings(path, line))


def main():
    found = [(path, *finding) for path in files() for finding in findings_of(path)]
    for path, number, what in found:
        print(f"{path.relative_to(ROOT)}:{number}: {what}")
    sys.exit(1 if found else 0)


main()
