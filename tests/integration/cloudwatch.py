"""What CloudWatch's alarms (deploy/alarms.yaml) make of the lines that a server has written for it. There is no
CloudWatch here, so a period is any run of lines up to the last one, and one of those that is beyond the threshold
raises the alarm: metrics, statistics, expressions and thresholds are those of the file."""

import math
import re

import yaml

from service import ROOT, Server

FILE = ROOT / "deploy/alarms.yaml"
STATISTICS = {"Sum": sum, "Minimum": min, "Maximum": max, "p99": lambda values: sorted(values)[
    math.ceil(0.99 * len(values)) - 1]}
COMPARISONS = {"GreaterThanThreshold": lambda value, threshold: value > threshold,
               "LessThanThreshold": lambda value, threshold: value < threshold}


class Template(yaml.SafeLoader):
    """CloudFormation's tags as (tag, value)."""


def _construct(loader, tag, node):
    value = {yaml.ScalarNode: loader.construct_scalar, yaml.SequenceNode: loader.construct_sequence,
             yaml.MappingNode: loader.construct_mapping}[type(node)](node)
    return tag, value


Template.add_multi_constructor("!", _construct)


def resources():
    return yaml.load(FILE.read_text(), Template)  # a SafeLoader


def alarms():
    """Their properties by their names, which are those of Prometheus's."""
    return {name.removesuffix("Alarm"): made["Properties"] for name, made in resources().items()
            if made["Type"] == "AWS::CloudWatch::Alarm"}


def _statistic(lines, metric, stat):
    """None: there is nothing."""
    assert metric["Dimensions"] == [{"Name": "Service", "Value": ("Ref", "AWS::StackName")}]
    values = []
    for line in lines:
        value = line.get(metric["MetricName"], [])
        values += value if isinstance(value, list) else [value]
    return STATISTICS[stat](values) if values else None


def _value(lines, alarm):
    if "MetricName" in alarm:
        return _statistic(lines, alarm, alarm.get("Statistic") or alarm["ExtendedStatistic"])
    judged, *others = alarm["Metrics"]
    found = {each["Id"]: _statistic(lines, each["MetricStat"]["Metric"], each["MetricStat"]["Stat"])
             for each in others if each["ReturnData"] is False}
    if None in found.values():
        return None
    expression = re.sub(r"\bAND\b", "and", judged["Expression"])
    try:  # of a file of ours
        # pylint: disable-next=eval-used
        return eval(expression, {"__builtins__": {}, "IF": lambda when, this, that: this if when else that}, found)
    except ZeroDivisionError:
        return None


def _is_beyond(lines, alarm):
    value = _value(lines, alarm)
    return value is not None and COMPARISONS[alarm["ComparisonOperator"]](value, alarm["Threshold"])


def raised(lines):
    """The names of those that these lines, taken as one period, raise."""
    return {name for name, alarm in alarms().items()
            if alarm.get("Namespace", "TokenService") == "TokenService" and _is_beyond(lines, alarm)}


def raises(server, name, since, meanwhile):
    """Waits until the lines from number `since` on raise it."""
    alarm = alarms()[name]

    def is_raised():
        meanwhile()
        lines = server.events("metrics")[since:]
        return any(_is_beyond(lines[first:], alarm) for first in range(len(lines)))

    Server.until(is_raised, lambda: f"CloudWatch does not raise {name} by {server.events('metrics')[-3:]}")
