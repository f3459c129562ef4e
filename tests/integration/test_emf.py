"""The lines for CloudWatch (TOKEN_EMF): AWS's own library, which writes the same format, judges them, and what it would
have written of the same metrics is what stands there. The numbers are those of the calls that were made."""

import json
import signal
from datetime import datetime

import pytest
from aws_embedded_metrics.logger.metrics_context import MetricsContext
from aws_embedded_metrics.serializers.log_serializer import LogSerializer
from aws_embedded_metrics.validator import validate_namespace, validate_timestamp

ES256 = {"TOKEN_SIGNING_ALG": "ES256"}


def as_aws_writes_it(line):
    """The same metrics, dimensions and properties, given to AWS's library: what it makes of them. It refuses names,
    units, values and dimensions that CloudWatch does not take."""
    (directive,) = line["_aws"]["CloudWatchMetrics"]
    dimensions = [{name: line[name] for name in names} for names in directive["Dimensions"]]
    targets = [metric["Name"] for metric in directive["Metrics"]]
    told = {"_aws", *targets, *(name for names in directive["Dimensions"] for name in names)}
    validate_namespace(directive["Namespace"])
    context = MetricsContext(directive["Namespace"], {name: line[name] for name in line if name not in told})
    context.set_dimensions(dimensions)
    validate_timestamp(datetime.fromtimestamp(line["_aws"]["Timestamp"] / 1000))
    context.meta["Timestamp"] = line["_aws"]["Timestamp"]
    for metric in directive["Metrics"]:
        values = line[metric["Name"]]
        for value in values if isinstance(values, list) else [values]:
            context.put_metric(metric["Name"], value, metric["Unit"])
    (written,) = LogSerializer.serialize(context)
    return json.loads(written)


def unwrapped(line):
    """One value in an array means the same as by itself."""
    return {name: value[0] if isinstance(value, list) and len(value) == 1 else value for name, value in line.items()}


def told(server, name):
    """All values of a metric, in all lines."""
    found = []
    for line in server.events("metrics"):
        value = line.get(name, [])
        found += value if isinstance(value, list) else [value]
    return found


def test_awss_own_library_would_write_the_same(make_server, redis):
    server = make_server(TOKEN_EMF="on", TOKEN_EMF_INTERVAL=1, REDIS_URL=redis.url, **ES256).start()
    agent = server.add_client("agent")
    for _ in range(150):
        assert server.ask(agent).status_code in (200, 401)
    server.until(lambda: sum(told(server, "TokensGenerated")) > 100, "they are not told")
    server.stop()
    lines = server.events("metrics")
    assert len(lines) >= 2
    for line in lines:
        assert as_aws_writes_it(line) == unwrapped(line)
        (directive,) = line["_aws"]["CloudWatchMetrics"]
        assert directive["Namespace"] == "TokenService" and directive["Dimensions"] == [["Service"]]
        assert len({metric["Name"] for metric in directive["Metrics"]}) == len(directive["Metrics"])
    assert {"RevocationsStaleness", "RevocationsKnown", "RedisUp", "StoreUp", "SignerUp", "ActiveKeyAge",
            "ActiveKeyRemaining", "NextKeyPublished", "RedisDuration"} <= {name for line in lines for name in line}


def test_the_judge_refuses_what_cloudwatch_would():
    good = {"_aws": {"Timestamp": int(datetime.now().timestamp() * 1000), "CloudWatchMetrics": [
        {"Namespace": "N", "Dimensions": [["Service"]], "Metrics": [{"Name": "M", "Unit": "Count"}]}]},
        "Service": "s", "M": 1, "note": "n"}
    assert as_aws_writes_it(good) == good
    for bad in ({"M": float("inf")}, {"Service": " "}, {"Service": "ä"}):
        with pytest.raises(Exception, match="(?i)invalid|finite|whitespace"):
            as_aws_writes_it(good | bad)
    for name, value in (("Unit", "Counts"), ("Name", "")):
        line = json.loads(json.dumps(good))
        line["_aws"]["CloudWatchMetrics"][0]["Metrics"][0][name] = value
        with pytest.raises(Exception):
            as_aws_writes_it(line | {value: 1})


def test_the_numbers_are_those_of_the_calls(make_server):
    """Also of the calls after the last interval: what was counted is told at the end."""
    server = make_server(TOKEN_EMF="on", TOKEN_EMF_INTERVAL=2, TOKEN_EMF_SERVICE="stories/eu-1", **ES256).start()
    agent = server.add_client("agent")
    server.until(lambda: server.ask(agent, scope="no:such").status_code == 400, "its client is not known")
    tokens = [server.token(agent) for _ in range(12)]
    server.until(lambda: sum(told(server, "TokensGenerated")) == 12, "they are not told")
    for token in tokens[:5]:
        assert server.verify(agent, token).status_code == 200
    assert server.verify(agent, tokens[0] + "x").status_code == 401
    for token in tokens[:3]:
        assert server.introspect(agent, token)["active"]
    assert server.introspect(agent, "nonsense") == {"active": False}
    for token in tokens[:2]:
        assert server.revoke(agent, token).status_code == 200
    assert server.post("/admin/rotate-keys", auth=agent, json={"immediate": True}).status_code in (200, 503)
    rotated = len(server.kids("retiring"))
    server.stop()
    assert sum(told(server, "TokensGenerated")) == 12
    assert sum(told(server, "TokenGenerationsFailed")) == 0
    assert sum(told(server, "TokenGenerationsRefused")) >= 1
    assert sum(told(server, "VerificationsValid")) == 5 and sum(told(server, "VerificationsInvalid")) == 1
    assert sum(told(server, "IntrospectionsActive")) == 3 and sum(told(server, "IntrospectionsInactive")) == 1
    assert sum(told(server, "Revocations")) == 2
    assert sum(told(server, "KeysRotated")) == rotated
    assert len(told(server, "VerificationDuration")) == 10
    assert all(0 < value <= 100000 for value in told(server, "TokenGenerationDuration"))
    assert {line["Service"] for line in server.events("metrics")} == {"stories/eu-1"}
    assert all(0 <= age < 3600 for age in told(server, "ActiveKeyAge"))


def test_calls_of_kms_and_their_failures_are_told(kms, start):
    server = start(kms.create_key("ES256"), TOKEN_EMF="on", TOKEN_EMF_INTERVAL=1, settled=True, TOKEN_KMS_TIMEOUT="30",
                   TOKEN_KMS_TRY_TIMEOUT="20", **ES256)
    server.token(server.agent)
    server.until(lambda: told(server, "KmsSignDuration"), "they are not told")
    assert sum(told(server, "KmsCallsFailed")) == 0
    kms.deny(operation="Sign")
    assert server.ask(server.agent).status_code == 503
    server.until(lambda: sum(told(server, "KmsCallsFailed")) >= 1, "the failure is not told")
    server.until(lambda: sum(told(server, "TokenGenerationsFailed")) >= 1, "the token's failure is not told")
    server.until(lambda: sum(told(server, "SignerErrors")) >= 1, "the signer's failure is not told")
    for line in server.events("metrics"):
        assert as_aws_writes_it(line) == unwrapped(line)


def test_no_caller_and_no_subject_is_in_them(make_server):
    server = make_server(TOKEN_EMF="on", TOKEN_EMF_INTERVAL=1, **ES256).start()
    agent = server.add_client("client-7c21")
    server.until(lambda: server.ask(agent, subject="subject-95d0").status_code == 200, "its client is not known")
    server.until(lambda: told(server, "TokensGenerated"), "it is not told")
    server.stop()
    text = json.dumps(server.events("metrics"))
    assert "client-7c21" not in text and "subject-95d0" not in text


def test_without_the_setting_there_are_none(make_server):
    for settings in ({}, {"TOKEN_EMF": "off"}):
        server = make_server(TOKEN_EMF_INTERVAL=1, **ES256, **settings).start()
        agent = server.add_client("agent")
        server.until(lambda server=server, agent=agent: server.ask(agent).status_code == 200, "its client is not known")
        server.stop(signal.SIGINT)
        assert not server.events("metrics")
