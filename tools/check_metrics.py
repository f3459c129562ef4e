#!/usr/bin/env python3
"""Holds what is said of metrics to the source: docs/metrics.md has a row for each metric, with its name in CloudWatch
if it has one, and one for each alarm; and the alarms and dashboards in deploy/ ask for no metric that is not there.
"""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
DOCUMENT = "docs/metrics.md"
ROOMS = ("observe", "aws", "net", "redis", "service", "lambda")  # a room of SQL functions has names of the same form

NAME = r"(?:token_service|process)_[a-z0-9_]+"
LITERAL = re.compile(rf'"({NAME})"')
GAUGE = re.compile(r'GAUGE\(\w+,\s*"([a-z0-9_]+)"')
EMF_ROW = re.compile(r'^    \{ "(\w+)", "(?:Count|Seconds|Milliseconds|None)", (?:[^}]*?"(\w+)")?', re.MULTILINE)
PART = re.compile(r"_(?:bucket|sum|count)$")
FRAGMENT = ("# --- alarms: begin ---", "# --- alarms: end ---")


def read(name):
    return (ROOT / name).read_text()


def metrics_of_the_source():
    for room in ROOMS:
        for path in sorted((ROOT / "src" / room).glob("*.c")):
            text = path.read_text()
            yield from LITERAL.findall(text)
            yield from ("token_service_" + name for name in GAUGE.findall(text))


def rows(title):
    """The cells of a section's rows, but for their heads."""
    section = re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", read(DOCUMENT), re.DOTALL | re.MULTILINE)
    for line in section[1].splitlines() if section else []:
        if line.startswith("| `"):
            yield [re.findall(r"`([^`{]+)[^`]*`", cell) for cell in line.strip("|").split("|")]


def differences(what, said, there):
    yield from (f"{DOCUMENT}: there is no row with {what} {name}" for name in sorted(there - said))
    yield from (f"{DOCUMENT}: there is no {what} {name}" for name in sorted(said - there))


def unknown(name, form, there):
    """Names of that form in a file which are no metric's, nor a histogram's part."""
    for metric in sorted(set(re.findall(rf"\b{form}\b", read(name)))):
        if metric not in there and PART.sub("", metric) not in there:
            yield f"{name}: there is no metric {metric}"


def used_by_cloudwatch(text):
    """The names in the namespace TokenService: of alarms, and of widgets."""
    yield from re.findall(r"Namespace: TokenService\n\s+MetricName: (\w+)", text)
    yield from re.findall(r'\["TokenService", "(\w+)"', text)


def template_findings(fragment):
    """The template has the fragment as it is."""
    template = ROOT / "deploy/template.yaml"
    if not template.is_file():
        return
    inner, outer = ([line for line in text.split(FRAGMENT[0])[-1].split(FRAGMENT[1])[0].splitlines() if line.strip()]
                    for text in (fragment, template.read_text()))
    if inner != outer:
        yield "deploy/template.yaml: between its comments on alarms is something else than deploy/alarms.yaml"


def main():
    there = set(metrics_of_the_source())
    emf = dict(EMF_ROW.findall(read("src/observe/emf.c")))
    said = {row[0][0]: row for row in rows("Metrics")}
    for_cloudwatch = {name for row in said.values() for name in row[2]}
    found = [*differences("the metric", set(said), there), *differences("CloudWatch's", for_cloudwatch, set(emf))]
    found += [f"{DOCUMENT}: {name} is CloudWatch's name of {gauge}" for name, gauge in emf.items()
              if gauge and gauge in said and name not in said[gauge][2]]
    for name in ("deploy/prometheus/rules.yaml", "deploy/prometheus/rules_test.yaml", "deploy/grafana/dashboard.json"):
        found += unknown(name, NAME, there)
    for path in sorted((ROOT / "docs").glob("*.md")):
        found += unknown(path.relative_to(ROOT).as_posix(), NAME + "_(?:total|seconds|bytes)", there)
    fragment = read("deploy/alarms.yaml")
    asked = set(used_by_cloudwatch(fragment))
    found += [f"deploy/alarms.yaml: there is no metric {name}" for name in sorted(asked - set(emf))]
    found += template_findings(fragment)
    alarms = {row[0][0]: row for row in rows("Alarms")}
    prometheus = set(re.findall(r"- alert: (\w+)", read("deploy/prometheus/rules.yaml")))
    cloudwatch = set(re.findall(r"^  (\w+)Alarm:$", fragment, re.MULTILINE))
    found += differences("the alarm", set(alarms), prometheus | cloudwatch)
    print("\n".join(found), end="\n" if found else "")
    sys.exit(1 if found or not there or not emf else 0)


main()
