"""Debian's Prometheus, which scrapes servers that a test names and judges them by deploy/prometheus/rules.yaml. Only
the times are shorter, so that no test waits for minutes: an alarm needs no time to go by, and a rate is that of the
last seconds. The thresholds are the operator's."""

import json
import re
import shutil
import subprocess
import time
from pathlib import Path

import pytest
import requests
import yaml

from ports import free_port
from service import ROOT
from wire import PATIENCE_S

RULES = ROOT / "deploy/prometheus/rules.yaml"
INTERVAL = "500ms"
WINDOW = "15s"
JOB = "token-service"  # which the rules go by


def until(condition, otherwise):
    """`otherwise`: what says what is wrong. Not so often that Prometheus would have no time for its work."""
    end = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end, otherwise()
        time.sleep(0.1)


def rules():
    """Of the one group."""
    (group,) = yaml.safe_load(RULES.read_text())["groups"]
    return group["rules"]


def hasty_rules():
    hasty = [{name: value for name, value in rule.items() if name != "for"} |
             {"expr": re.sub(r"\[\d+m\]", f"[{WINDOW}]", rule["expr"])} for rule in rules()]
    return {"groups": [{"name": "token-service", "rules": hasty}]}


class Prometheus:
    def __init__(self, home):
        if not shutil.which("prometheus"):
            pytest.skip("there is no prometheus here: Debian's package of that name")
        self.home = Path(home)
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.session = requests.Session()
        self.session.trust_env = False
        self.targets = []
        self.process = None

    def start(self):
        job = {"job_name": JOB, "tls_config": {"insecure_skip_verify": True},
               "file_sd_configs": [{"files": ["targets.json"], "refresh_interval": "1s"}]}
        config = {"global": {"scrape_interval": INTERVAL, "scrape_timeout": INTERVAL, "evaluation_interval": INTERVAL},
                  "rule_files": ["rules.yaml"], "scrape_configs": [job]}
        (self.home / "prometheus.yaml").write_text(yaml.safe_dump(config))
        (self.home / "rules.yaml").write_text(yaml.safe_dump(hasty_rules()))
        self._write_targets()
        with (self.home / "log").open("wb") as log:
            # pylint: disable-next=consider-using-with
            self.process = subprocess.Popen(
                ["prometheus", "--config.file=prometheus.yaml", "--storage.tsdb.path=data", "--log.level=warn",
                 f"--web.listen-address=127.0.0.1:{self.port}"],
                cwd=self.home, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        until(self._is_ready, lambda: "Prometheus is not ready")
        return self

    def stop(self):
        self.session.close()
        if self.process:
            self.process.terminate()
            self.process.wait(PATIENCE_S)

    def _is_ready(self):
        assert self.process.poll() is None, (self.home / "log").read_text()[-2000:]
        try:
            return self.session.get(self.url + "/-/ready", timeout=PATIENCE_S).status_code == 200
        except requests.ConnectionError:
            return False

    def _write_targets(self):
        """In one step: it looks at any time."""
        new = self.home / "targets.new"
        new.write_text(json.dumps(self.targets))
        new.rename(self.home / "targets.json")

    def ask(self, path, **parameters):
        answer = self.session.get(f"{self.url}/api/v1/{path}", params=parameters, timeout=PATIENCE_S).json()
        assert answer["status"] == "success", answer
        return answer["data"]

    def query(self, expression):
        """Of an instant: a list of (labels, value)."""
        return [(each["metric"], float(each["value"][1])) for each in self.ask("query", query=expression)["result"]]

    def finds(self, expression, what):
        """Waits for an answer: a scrape that came too late leaves a gap."""
        until(lambda: self.query(expression), lambda: f"{what}: {expression} has no answer")

    def alarms(self, instance):
        """The names of those that are raised for it now."""
        return {alert["labels"]["alertname"] for alert in self.ask("alerts")["alerts"]
                if alert["labels"].get("instance") == instance and alert["state"] == "firing"}

    def watch(self, server, scheme="http"):
        """From now on, in place of whoever was there before. The server's instance label."""
        instance = f"127.0.0.1:{server.port}"
        self.targets = [{"targets": [instance], "labels": {"__scheme__": scheme}}]
        self._write_targets()
        until(lambda: self.scrapes(instance) >= 3, lambda: f"not scraped: {self.ask('targets')}")
        return instance

    def scrapes(self, instance):
        return sum(value for _, value in self.query(f'sum_over_time(up{{instance="{instance}"}}[1m])'))

    def raises(self, alarm, instance, meanwhile=lambda: None):
        """Waits for it, doing that meanwhile."""
        def is_raised():
            meanwhile()
            return alarm in self.alarms(instance)
        until(is_raised, lambda: f"{alarm} is not raised, but {self.alarms(instance)}")

    def calms_down(self, alarm, instance):
        until(lambda: alarm not in self.alarms(instance), lambda: f"{alarm} is still raised")
