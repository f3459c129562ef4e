#!/usr/bin/env python3
"""embed.py NAME FILE...: a C source with the files' bytes, and a NUL at the end, as `const char NAME[]`."""
import pathlib
import sys

name, *paths = sys.argv[1:]
data = b"".join(pathlib.Path(path).read_bytes() for path in paths) + b"\0"
rows = (", ".join(f"{byte}" for byte in data[at:at + 32]) for at in range(0, len(data), 32))
assert max(data) < 128, f"{paths} are to be ASCII"
print(f"extern const char {name}[];\nconst char {name}[] = {{\n" + ",\n".join(rows) + "\n};")
