"""Stubs for libraries that are linked with and never called: libcurl's for ldap:// and rtmp://, which net/handle.c
doesn't allow, and libpq's for looking services up by LDAP. With what these stand on (GnuTLS and more) they would be a
quarter of the zip. A stub has the functions that others need to be loaded, and each says that it failed: nothing, or
false."""

import re
import subprocess
from pathlib import Path

STUBBED = re.compile(r"(librtmp|libldap|liblber)\b")


def symbols_of(path, which):
    """Its dynamic symbols, as pairs of name and version ("" for none), with their types. `which`: "defined", or
    "undefined"."""
    said = subprocess.run(["readelf", "--dyn-syms", "--wide", str(path)], check=True, capture_output=True, text=True)
    found = {}
    for line in said.stdout.splitlines():
        if match := re.match(r"\s*\d+: \w+ +\d+ (\w+) +(?:GLOBAL|WEAK) +\w+ +(\w+) ([^@\s]+)(?:@+(\S+))?", line):
            kind, section, name, version = match.groups()
            if (section == "UND") == (which == "undefined"):
                found[name, version or ""] = kind
    return found


def functions_needed(name, real, users):
    """Those of the library `real` that `users` need, by their versions."""
    has, needed = symbols_of(real, "defined"), set()
    for user in users:
        needed |= symbols_of(user, "undefined").keys() & has.keys()
    if others := [each for each in needed if has[each] not in ("FUNC", "IFUNC")]:
        raise SystemExit(f"no stub can be made for {name}: {others} are no functions")
    by_version = {}
    for function, version in sorted(needed):
        by_version.setdefault(version, []).append(function)
    return by_version


def make(name, real, users, compiler, folder):
    """The path of a stub for the library `name`, in `folder`, by that compiler of C."""
    by_version = functions_needed(name, real, users)
    source, script, stub = (Path(folder, name + end) for end in (".c", ".map", ""))
    source.write_text("".join(f"long {function}(void);\nlong {function}(void)\n{{\n    return 0;\n}}\n"
                              for functions in by_version.values() for function in functions))
    versions = [f"{version} {{ {' '.join(f'{each};' for each in functions)} }};\n"
                for version, functions in by_version.items() if version]
    script.write_text("".join(versions))
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-nostdlib", "-Wl,--strip-all", "-Wl,--build-id=none",
                    "-Wl,-z,noexecstack", f"-Wl,-soname,{name}", "-o", stub, source,
                    *([f"-Wl,--version-script={script}"] if versions else [])], check=True)
    return stub
