#!/usr/bin/env python3
"""Holds what documents and comments say of files to the files that there are: ARCHITECTURE.md has a row for each
source file, tests/README.md one for each source file and each test, SECURITY.md names tests that exist, and no document
or comment names a file that doesn't.
"""
import os
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
SKIPPED = {".git", "build", "data", "node_modules", "__pycache__", ".pytest_cache"}

# A file's name, with or without folders before it.
NAME = re.compile(r"(?<![\w./…*])(?:[\w-]+/)*[\w-]+\.(?:c|h|py|mjs|md)\b(?!\w)")
COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
MADE = {"version.h"}  # by the build
OF_THE_PAST = {"CHANGELOG.md"}

TEST = re.compile(r"`((?:test_|fuzz/)\w+\.(?:c|py))(?::(\w+))?`")


def paths():
    """Of all files, from the root."""
    for folder, folders, names in os.walk(ROOT):
        folders[:] = set(folders) - SKIPPED
        yield from (pathlib.Path(folder, name).relative_to(ROOT).as_posix() for name in names)


def stems_of(files, folder, prefix=""):
    """"service/issue" of "src/service/issue.c", for the folder "src/"."""
    return {name[len(folder) + len(prefix):].rsplit(".", 1)[0] for name in files
            if re.fullmatch(re.escape(folder + prefix) + r"[\w/]+\.(?:c|py)", name)}


def rows(text):
    """The names between backquotes in each cell of each row of its tables."""
    for line in text.split("\n"):
        if line.startswith("|"):
            yield [re.findall(r"`([^`]+)`", cell) for cell in line.strip("|").split("|")]


def differences(document, what, said, there):
    yield from (f"{document}: there is no row with {what}{name}" for name in sorted(there - said))
    yield from (f"{document}: there is no file {what}{name}" for name in sorted(said - there))


def architecture_findings(files):
    text = (ROOT / "ARCHITECTURE.md").read_text()
    stems = stems_of(files, "src/")
    headers = {name[4:] for name in files if re.fullmatch(r"src/\w+/\w+\.h", name)}
    there = {name for name in stems if "/" in name} | {name for name in headers if name[:-2] not in stems}
    rooms = re.findall(r"^### (\w+)\n(.*?)(?=^##)", text, re.DOTALL | re.MULTILINE)
    said = {f"{room}/{name}" for room, section in rooms for row in rows(section) for name in row[0]}
    yield from differences("ARCHITECTURE.md", "src/", said, there)


def tests_findings(files):
    text = (ROOT / "tests/README.md").read_text()
    section = re.search(r"^## Which tests .*?(?=^## )", text, re.DOTALL | re.MULTILINE).group()
    columns = [set(), set(), set(), set()]
    for row in rows(section):
        for column, names in zip(columns, row):
            column.update(names)
    columns[2].update(re.findall(r"`integration/test_(\w+)\.py`", section))
    targets = {name for name in stems_of(files, "tests/fuzz/")
               if "LLVMFuzzerTestOneInput" in (ROOT / f"tests/fuzz/{name}.c").read_text()}
    there = [stems_of(files, "src/"), stems_of(files, "tests/unit/", "test_"),
             stems_of(files, "tests/integration/", "test_"), targets]
    for what, said, found in zip(("src/", "unit/test_", "integration/test_", "fuzz/"), columns, there):
        yield from differences("tests/README.md", what, said, found)


def security_findings():
    for file, test in TEST.findall((ROOT / "SECURITY.md").read_text()):
        folder = "integration/" if file.endswith(".py") else "unit/" if file.startswith("test_") else ""
        path = ROOT / "tests" / (folder + file)
        if not path.is_file() or test and not re.search(rf"\b{test}\(", path.read_text()):
            yield f"SECURITY.md: there is no test {file}{':' if test else ''}{test}"


def names_findings(files):
    ends = {name[at:] for name in files for at in [0, *(found.end() for found in re.finditer("/", name))]}
    for name in files:
        if not name.endswith((".c", ".h", ".md")) or name in OF_THE_PAST or "corpus/" in name:
            continue
        text = (ROOT / name).read_text()
        said = [text] if name.endswith(".md") else COMMENT.findall(text)
        yield from (f"{name}: there is no file {other}" for part in said for other in NAME.findall(part)
                    if other not in ends and other not in MADE)


def main():
    files = sorted(paths())
    found = [*architecture_findings(files), *tests_findings(files), *security_findings(), *names_findings(files)]
    for what in found:
        print(what)
    sys.exit(1 if found else 0)


main()
