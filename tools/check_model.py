#!/usr/bin/env python3
"""Has SPIN explore tests/model/refresh.pml: all of its states, for its assertions and for each of its LTL properties;
no statement of a caller may stay unreached. Then the same with each mistake that the model knows, one at a time: SPIN
must find every one, or what it says of the model is worth nothing.
"""
import pathlib
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
MODEL = ROOT / "tests/model/refresh.pml"
MISTAKES = {  # each with a part of the assertion that must not hold under it
    "WITHOUT_CAS": "given[mine]==next",
    "GRACE_INVERTED": "now-truly_used[mine])>",
    "OWN_CLOCK": "now-truly_used[mine])>",
}
TIMEOUT_S = 300  # of each step; the whole takes 20 s


def run(folder, *command):
    """What a command says; it may not fail."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    if done.returncode != 0:
        sys.exit(f"{command[0]} ended with status {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


def verifier(folder, name, mistake, *options):
    """The program that explores the model, compiled from what SPIN writes."""
    run(folder, "spin", *([f"-D{mistake}"] if mistake else []), "-a", str(MODEL))
    run(folder, "gcc", "-O2", "-w", "-DCOLLAPSE", *options, "-o", name, "pan.c")
    return f"./{name}"


def errors_of(said):
    """How many errors it found; the search must have been whole."""
    found = re.search(r"errors: (\d+)", said)
    if not found or "search depth too small" in said or "out of memory" in said:
        sys.exit(f"SPIN did not explore the whole model:\n{said}")
    return int(found[1])


def assertions(folder, mistake=None):
    program = verifier(folder, "safety", mistake, "-DSAFETY", "-DNOCLAIM")
    return run(folder, program, "-m100000")


def states_of(said):
    return re.search(r"(\d+) states, stored", said)[1]


def check_assertions(folder):
    said = assertions(folder)
    unreached = re.search(r"unreached in proctype caller\n(.*?)\t\((\d+) of", said, re.DOTALL)
    if errors_of(said):
        yield f"an assertion does not hold:\n{said}"
    elif not unreached or unreached[2] != "0":
        yield f"a statement of a caller is never reached:\n{said}"
    else:
        print(f"the assertions hold in {states_of(said)} states")


def check_properties(folder):
    program = verifier(folder, "liveness", None)
    for name in re.findall(r"^ltl (\w+)", MODEL.read_text(), re.MULTILINE):
        said = run(folder, program, "-a", "-m100000", "-N", name)
        if errors_of(said):
            yield f"the property {name} does not hold:\n{said}"
        else:
            print(f"{name} holds")


def check_mistakes(folder):
    for mistake, assertion in MISTAKES.items():
        violated = re.search(r"assertion violated (.*)", assertions(folder, mistake))
        if violated and assertion in violated[1]:
            print(f"{mistake} is found")
        else:
            yield f"{mistake} is not found, so the model proves nothing"


def main():
    with tempfile.TemporaryDirectory() as folder:
        found = [*check_assertions(folder), *check_properties(folder), *check_mistakes(folder)]
    for what in found:
        print(what)
    sys.exit(1 if found else 0)


main()
