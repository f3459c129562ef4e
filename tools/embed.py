#!/usr/bin/env python3
"""embed.py NAME FILE: a C source with the file's bytes, NUL-terminated, as `const char NAME[]`."""
import pathlib
import sys

name, path = sys.argv[1:]
data = pathlib.Path(path).read_bytes() + b"\0"
rows = (", ".join(f"{byte}" for byte in data[at:at + 32]) for at in range(0, len(data), 32))
assert max(data) < 128, f"{path} is to be ASCII"
print(f"extern const char {name}[];\nconst char {name}[] = {{\n" + ",\n".join(rows) + "\n};")
