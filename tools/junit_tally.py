#!/usr/bin/env python3
"""Turns a JUnit report, of meson or of pytest, into lines of `dev`'s tally: step, outcome, name, reason; tabs between.

    tools/junit_tally.py STEP REPORT

A report without a test, or none at all, is one failed test: something did not run that should have.
"""
import sys
import xml.etree.ElementTree as ElementTree

OUTCOMES = {"failure": "failed", "error": "failed", "skipped": "skipped"}


def outcome_of(case):
    """The outcome and the first line of its reason; the worst one when pytest reports a test and its clean-up apart."""
    found = [(OUTCOMES[child.tag], child.get("message") or child.text or "") for child in case if child.tag in OUTCOMES]
    outcome, reason = min(found, default=("passed", ""))
    return outcome, (reason.strip().splitlines() or [""])[0][:200]


def cases_of(path):
    for case in ElementTree.parse(path).getroot().iter("testcase"):
        name = "::".join(part for part in (case.get("classname"), case.get("name")) if part)
        yield *outcome_of(case), name


def main():
    step, path = sys.argv[1:]
    try:
        lines = [(step, outcome, name, reason) for outcome, reason, name in cases_of(path)]
    except (OSError, ElementTree.ParseError) as error:
        lines = [(step, "failed", "report", f"{path}: {error}")]
    for line in lines or [(step, "failed", "report", f"{path} has no test")]:
        print("\t".join(" ".join(field.split()) for field in line))


main()
