"""deploy/template.yaml as the tests read it: the short forms of CloudFormation's functions as their long ones."""

import re
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
TEMPLATE = ROOT / "deploy/template.yaml"


class _Loader(yaml.SafeLoader):
    pass


def _function(loader, tag, node):
    name = tag if tag in ("Ref", "Condition") else f"Fn::{tag}"
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
        return {name: value.split(".", 1) if tag == "GetAtt" else value}
    if isinstance(node, yaml.SequenceNode):
        return {name: loader.construct_sequence(node, deep=True)}
    return {name: loader.construct_mapping(node, deep=True)}


_Loader.add_multi_constructor("!", _function)


def load(path=TEMPLATE):
    return yaml.load(path.read_text(), _Loader)  # noqa: S506 - a SafeLoader with CloudFormation's tags


def walk(value, path=()):
    """Every mapping in it, with the names that lead there."""
    if isinstance(value, dict):
        yield path, value
        for name, one in value.items():
            yield from walk(one, (*path, name))
    elif isinstance(value, list):
        for one in value:
            yield from walk(one, path)


def as_list(value):
    return value if isinstance(value, list) else [value]


def statements(template):
    """Every statement of every policy, with its resource's name."""
    for name, resource in template["Resources"].items():
        for _, mapping in walk(resource["Properties"]):
            if "Effect" in mapping:
                yield name, mapping


def fits(route_key, path):
    """Whether a request to that path of docs/openapi.yaml goes to that route: {proxy+} is one segment or more."""
    _, route = route_key.split(" ")
    pattern = re.escape(route).replace(re.escape("{proxy+}"), ".+")
    return re.fullmatch(pattern, re.sub(r"\{\w+\}", "x", path)) is not None
