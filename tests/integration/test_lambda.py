"""The program as a function of AWS Lambda, over a double of the runtime API (lambda_runtime.py): events of every
sender, what is done by a schedule, and a runtime API that fails."""

import json
import re
import socket
import struct
import subprocess
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import lambda_events
import tokens
from lambda_events import KINDS, bus, schedule
from lambda_runtime import Function
from service import BINARY, ROOT, SCOPES, STORY_SCOPES, environment, run
from wire import PATIENCE_S

IDP = "storytailor.idp"
# Verifiers may keep keys for 2 s; a key is published for 5 before it signs, and signs for 6; tokens live for 6.
SHORT = {"TOKEN_SIGNING_ALG": "ES256", "TOKEN_JWKS_MAX_AGE": 1, "TOKEN_JWKS_STALE_WHILE_REVALIDATE": 1,
         "TOKEN_JWKS_STALE_IF_ERROR": 1, "TOKEN_CLOCK_SKEW": 0, "TOKEN_KEY_PENDING": 5, "TOKEN_KEY_ROTATION": 6,
         "TOKEN_ACCESS_TTL": 6, "TOKEN_ACCESS_TTL_MAX": 6, "TOKEN_REFRESH_TTL": 6, "TOKEN_REFRESH_TTL_MAX": 6,
         "TOKEN_ID_TTL": 6, "TOKEN_ID_TTL_MAX": 6}


def kid_of(token):
    return tokens.header_of(token)["kid"]


def line_of(function, is_it):
    """The first such line of the log, which is written in its own time."""
    def found():
        return [entry for entry in map(json.loads, function.lines()) if is_it(entry)]
    function.until(found, "there is no such line")
    return found()[0]


@pytest.fixture(scope="module")
def make_function(tmp_path_factory):
    """make_function(TOKEN_X=…) is a Function not yet started; stopped, and its log looked through, at the end."""
    made = []

    def make(**settings):
        made.append(Function(tmp_path_factory.mktemp("lambda-"), settings))
        return made[-1]

    yield make
    faults = []
    for function in made:
        try:
            function.stop()
        except AssertionError as fault:
            faults.append(fault)
        finally:
            function.kill()
            function.close()
    assert not faults, faults


@pytest.fixture(scope="module")
def function(make_function):
    made = make_function(TOKEN_SIGNING_ALG="ES256").start()
    made.agent = made.add_client("agent")
    made.add_client(IDP, SCOPES + " " + STORY_SCOPES)
    return made


@pytest.fixture(params=KINDS)
def kind(request, function):
    function.kind = request.param
    yield request.param
    function.kind = "http"


# --- HTTP events ----------------------------------------------------------------------------------------------------

def test_every_kind_of_event_does_what_http_does(function, kind):
    issued = function.issue(function.agent, scope="stories:read")
    token = issued["token"]
    assert function.verify(function.agent, token).json()["valid"] is True
    assert function.is_active(function.agent, token)
    assert function.verify(token, token).status_code == 403  # authenticated by the token, without the scope
    answer = function.revoke(function.agent, token)
    assert answer.json() == {"revoked": True}
    assert function.verify(function.agent, token).status_code == 401
    assert not function.is_active(function.agent, token)
    jwks = function.get("/.well-known/jwks.json")
    assert jwks.headers["etag"] and "max-age" in jwks.headers["cache-control"]
    assert kid_of(token) in {key["kid"] for key in jwks.json()["keys"]}
    again = function.get("/.well-known/jwks.json", headers={"If-None-Match": jwks.headers["etag"]})
    assert again.status_code == 304 and again.content == b""


def test_what_is_wrong_is_refused_as_by_http(function, kind):
    assert function.get("/nowhere").status_code == 404
    assert function.get("/token").status_code == 405
    assert function.post("/token", json={}).status_code == 401
    assert function.post("/token", auth=function.agent, data=b"{", headers={"Content-Type": "application/json"}
                         ).status_code == 400
    assert function.post("/token", auth=function.agent, data=b"x", headers={"Content-Type": "text/plain"}
                         ).status_code == 415
    assert function.post("/token", auth=function.agent, data=b" " * 70000,
                         headers={"Content-Type": "application/json"}).status_code == 413


def test_a_body_may_come_as_base64(function, kind):
    form = {"token": function.token(function.agent)}
    for is_coded in (True, False):
        answer = function.post("/token/introspect", auth=function.agent, form=form, is_coded=is_coded)
        assert answer.status_code == 200 and answer.json()["active"] is True
    event = function.event_of("POST", "/token/introspect", auth=function.agent, form=form, is_coded=True)
    for broken in (event["body"].rstrip("=") + "*", event["body"] + "A"):
        status, _, body = lambda_events.answer_of(kind, function.api.invoke(event | {"body": broken}).json())
        assert status == 400 and json.loads(body)["error"] == "invalid_request"


def test_head_has_no_body(function, kind):
    answer = function.request("HEAD", "/.well-known/jwks.json")
    assert answer.status_code == 200 and answer.content == b"" and answer.headers["etag"]


def test_a_callers_request_id_goes_through(function, kind):
    assert function.get("/health/live", headers={"X-Request-Id": "platform-1"}).headers["x-request-id"] == "platform-1"
    call = function.api.begin(function.event_of("GET", "/health/live", headers={"X-Request-Id": "a b"}))
    _, fields, _ = lambda_events.answer_of(kind, call.json())
    assert ("X-Request-Id", call.id) in fields  # Lambda's own, instead of one that could forge a line


def test_a_parameter_that_comes_twice_is_refused(make_function, kind):
    """RFC 6749 section 3.1, of the query as it was sent: merged, both values would look like one."""
    made = make_function(TOKEN_LOGIN="builtin").start()
    made.add_client("web", "openid", "--public", "--redirect-uri", "https://app.test/cb", "--grant",
                    "authorization_code")
    once = "response_type=code&client_id=web&redirect_uri=https%3A%2F%2Fapp.test%2Fcb&scope=openid&state=a%26b%2Bc" \
           "&code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM&code_challenge_method=S256"
    made.kind = kind
    answer = made.get(f"/authorize?{once}")
    assert answer.status_code in (302, 303), answer.text
    if kind == "alb":  # which has only the last one: docs/lambda.md says so
        return
    twice = made.get(f"/authorize?{once}&client_id=web")
    assert twice.status_code == 400 and "more than once" in twice.text
    state = made.get(f"/authorize?{once}&state=x")
    assert "error=invalid_request" in state.headers.get("location", "") or state.status_code == 400
    made.stop()


def test_cookies_go_both_ways(make_function, kind):
    made = make_function(TOKEN_LOGIN="builtin").start()
    made.kind = kind
    made.add_client("web", "openid", "--public", "--redirect-uri", "https://app.test/cb", "--grant",
                    "authorization_code")
    query = "response_type=code&client_id=web&redirect_uri=https%3A%2F%2Fapp.test%2Fcb&scope=openid&state=s" \
            "&code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM&code_challenge_method=S256"
    begun = made.get(f"/authorize?{query}")
    cookies = [value.split(";")[0] for name, value in begun.fields if name.lower() == "set-cookie"]
    assert cookies
    page = made.get(begun.headers["location"].removeprefix("https://auth.storytailor.ai"),
                    headers={"Cookie": "; ".join([*cookies, "other=1"])})
    assert page.status_code == 200 and "<form" in page.text
    made.stop()


@pytest.mark.parametrize("options", [
    {"kind": "http", "stage": "prod"},
    {"kind": "http", "stage": "prod", "route": "ANY /{proxy+}", "parameters": {"proxy": "token/verify"}},
    {"kind": "http", "stage": "prod", "route": "POST /token/verify"},
    {"kind": "http", "route": "POST /token/verify"},
    {"kind": "rest", "base": "/auth"},
    {"kind": "rest", "base": "/auth/v1"},
    {"kind": "rest", "base": "/auth", "resource": "/token/verify"},
])
def test_stage_and_base_path_come_from_the_event(function, options):
    token = function.token(function.agent)
    parameters, resource = options.pop("parameters", None), options.pop("resource", None)
    event = function.event_of("POST", "/token/verify", auth=function.agent, json={"token": token}, **options)
    if parameters:
        event["pathParameters"] = parameters
    if resource:
        event |= {"resource": resource, "pathParameters": None}
    status, _, body = lambda_events.answer_of(options["kind"], function.api.invoke(event).json())
    assert status == 200 and json.loads(body)["valid"] is True


@pytest.mark.parametrize("path", ["/prod/prod/token/verify", "/production/token/verify", "/prodtoken/verify",
                                  "/x/token/verify"])
def test_a_path_has_no_further_names(function, path):
    event = function.event_of("POST", "/token/verify", auth=function.agent, json={"token": "x"}, stage="prod")
    event["rawPath"] = path
    status, _, _ = lambda_events.answer_of("http", function.api.invoke(event).json())
    assert status == 404
    event = function.event_of("POST", path, auth=function.agent, json={"token": "x"}, kind="rest")
    status, _, _ = lambda_events.answer_of("rest", function.api.invoke(event).json())
    assert status == 404


def test_the_caller_is_whom_aws_names(make_function, kind):
    made = make_function(TOKEN_TRUSTED_PROXIES="198.51.100.0/24").start()
    made.kind = kind
    for caller, forged, expected in (("203.0.113.9", None, "203.0.113.9"),
                                     ("203.0.113.9", "10.0.0.1", "203.0.113.9"),
                                     ("198.51.100.7", "203.0.113.20", "203.0.113.20")):
        event = made.event_of("GET", f"/nowhere-{uuid.uuid4().hex[:8]}", caller=caller)
        if forged:
            for name in ("headers", "multiValueHeaders"):
                for header, value in (event.get(name) or {}).items():
                    if header.lower() == "x-forwarded-for":
                        event[name][header] = ([f"{forged}, {caller}"] if isinstance(value, list)
                                               else f"{forged}, {caller}")
        made.api.invoke(event)
        path = event.get("rawPath") or event["path"]
        entry = line_of(made, lambda entry, path=path: entry["event"] == "request" and entry["path"] == path)
        assert entry["peer"] == expected and entry["scheme"] == "https"
    made.stop()


def test_a_console_test_is_served(function):
    """It has neither headers nor an address."""
    event = lambda_events.rest("GET", "/health/live") | {"headers": None, "multiValueHeaders": None}
    event["requestContext"]["identity"]["sourceIp"] = "test-invoke-source-ip"
    status, _, _ = lambda_events.answer_of("rest", function.api.invoke(event).json())
    assert status == 200


def test_paths_that_api_gateway_has_decoded_are_encoded_again(function, kind):
    event = function.event_of("GET", "/admin/clients/x", auth=function.agent)
    for raw, status in (("/admin/clients/a b", 404), ("/admin/clients/ä", 404), ("/admin/clients/a%20b", 404),
                        ("/admin/clients/100%", 404), ("/admin/clients/agent", 200)):
        name = "rawPath" if "rawPath" in event else "path"
        sent = event | {name: raw}
        if kind == "rest":
            sent["pathParameters"] = {"proxy": raw[1:]}
        assert lambda_events.answer_of(kind, function.api.invoke(sent).json())[0] == status, raw


# --- AWS's own samples ----------------------------------------------------------------------------------------------

SAMPLES = ROOT / "build/tools/lambda-events"
SAMPLES_OF = {
    "apigw-request": "rest", "apigw-restapi-openapi-request": "rest",
    "apigw-v2-request-no-authorizer": "http", "apigw-v2-request-iam": "http",
    "apigw-v2-request-jwt-authorizer": "http", "apigw-v2-request-lambda-authorizer": "http",
    "lambda-urls-request": "function_url", "alb-lambda-target-request-headers-only": "alb",
    "alb-lambda-target-request-multivalue-headers": "alb_lists",
}


def sample(name):
    if not SAMPLES.exists():
        pytest.skip("there are no lambda-events: `./dev test integration` fetches them, where Go's modules can be had")
    return json.loads((SAMPLES / f"{name}.json").read_text())


def as_call(event, kind, call):
    """The sample with what `call`, an event of the same kind, has of a request; all else is AWS's."""
    parts = ["httpMethod", "path", "rawPath", "rawQueryString", "queryStringParameters", "pathParameters", "body",
             "multiValueQueryStringParameters", "isBase64Encoded"]
    made = {name: value for name, value in event.items() if name not in parts} | {
        name: call[name] for name in parts if name in call}
    sent = {name: call["headers" if kind != "alb_lists" else "multiValueHeaders"].get(name) for name in
            ("Authorization", "authorization", "Content-Type", "content-type")}
    for member in {"headers", "multiValueHeaders"} & event.keys():
        made[member] = {name: value for name, value in event[member].items()
                        if name.lower() not in ("content-type", "content-length")} | {
            name: value if kind == "alb_lists" or member == "headers" else [value]
            for name, value in sent.items() if value}
    made["requestContext"] = event["requestContext"] | {
        name: call["requestContext"][name] for name in ("httpMethod", "path", "resourcePath", "stage")
        if name in call["requestContext"]}
    if "http" in event["requestContext"]:
        made["requestContext"]["http"] = event["requestContext"]["http"] | {
            name: call["requestContext"]["http"][name] for name in ("method", "path")}
    return made


@pytest.mark.parametrize(("name", "kind"), SAMPLES_OF.items())
def test_awss_samples_are_requests(function, name, kind):
    """As they are, of paths that nothing is at; and as a call, in all else as they are."""
    event = sample(name)
    status, headers, _ = lambda_events.answer_of(kind, function.api.invoke(event).json())
    assert status in (200, 404) and dict(headers), status
    call = function.event_of("POST", "/token", auth=function.agent, kind=kind, json={
        "subject": "agent", "clientId": "agent", "scope": "stories:read", "tokenType": "access"})
    status, _, body = lambda_events.answer_of(kind, function.api.invoke(as_call(event, kind, call)).json())
    assert status == 200, body
    token = json.loads(body)["token"]
    function.tokens.add(token)
    assert function.is_active(function.agent, token)


def test_awss_samples_of_what_it_does_not_take_are_refused(function):
    sample("sqs-event")
    for path in sorted(SAMPLES.glob("*.json")):
        if path.stem not in SAMPLES_OF:
            answer = function.api.invoke(path.read_bytes()).json()
            assert 400 <= answer["statusCode"] < 500, (path.name, answer)
    assert function.get("/health/live").status_code == 200


# --- malformed events -----------------------------------------------------------------------------------------------

MALFORMED = [b"", b"{", b"null", b"[]", b'"x"', b"1", b"{}", b'{"version":"2.0"}', b'{"httpMethod":"GET"}',
             b'{"requestContext":{}}', b'{"requestContext":{"elb":1},"path":"/"}', b"\xff", b'{"a":"\\u0000"}',
             b"[" * 100000, b'{"detail-type":1,"source":2}', b'{"a":1,"a":2}']


@pytest.mark.parametrize("event", MALFORMED)
def test_an_event_of_nobody_is_refused_and_not_tried_again(function, event):
    answer = function.api.invoke(event).json()
    assert answer["statusCode"] == 400 and json.loads(answer["body"])["error"] == "invalid_request"
    assert function.get("/health/live").status_code == 200


def damaged():
    """(kind, event): of each kind with a member that is of another type, missing, or far too large."""
    wrong = [None, 1, [], {}, "", "x" * 100000, ["a", 1], {"a": 1}, {"a": ["b", None]}]
    for kind, make in KINDS.items():
        event = make("POST", "/token", [("Cookie", "a=b")], "a=b", b"{}")
        for name in event:
            for value in wrong:
                yield kind, event | {name: value}


def test_damaged_events_get_an_answer(function):
    """Whatever is in them: an answer below 500, or the refusal of an unknown event; the process lives."""
    calls = [(event, function.api.begin(event)) for _, event in damaged()]
    for event, call in calls:
        answer = call.json()
        assert 200 <= answer["statusCode"] < 500, (event, answer)
    assert function.get("/health/live").status_code == 200


@pytest.mark.parametrize("header", [["Bad Name", "x"], ["X-Line", "a\r\nb"], ["X-Nul", "a\x01b"]])
def test_headers_that_no_server_would_take_are_refused(function, kind, header):
    event = function.event_of("GET", "/health/live", headers={header[0]: header[1]})
    assert lambda_events.answer_of(kind, function.api.invoke(event).json())[0] == 400


def test_two_authorizations_are_refused(function):
    """As two lines, which lists show; format 2.0 joins them, and then they are no scheme."""
    event = function.event_of("POST", "/token", auth=function.agent, json={}, kind="rest")
    event["multiValueHeaders"]["Authorization"] *= 2
    assert lambda_events.answer_of("rest", function.api.invoke(event).json())[0] == 400
    event = function.event_of("POST", "/token", auth=function.agent, json={}, kind="http")
    event["headers"]["authorization"] = ",".join(2 * [event["headers"]["authorization"]])
    assert lambda_events.answer_of("http", function.api.invoke(event).json())[0] in (400, 401)


def test_events_as_large_as_lambda_lets_them_be(function, kind):
    event = function.event_of("POST", "/token", auth=function.agent, data=b"a" * 6_000_000,
                              headers={"Content-Type": "application/json"})
    assert lambda_events.answer_of(kind, function.api.invoke(event).json())[0] == 413
    larger = function.api.invoke(json.dumps(event).encode() + b" " * 9_000_000).json()
    assert larger["statusCode"] == 413
    assert function.get("/health/live").status_code == 200


# --- EventBridge ----------------------------------------------------------------------------------------------------

def generate(**more):
    return {"subject": IDP, "clientId": IDP, "scope": "stories:read", "tokenType": "access"} | more


def test_events_do_what_the_calls_do(function):
    answer = function.bus("GENERATE_TOKEN", generate()).json()
    assert answer["statusCode"] == 200
    token = answer["body"]["token"]
    function.tokens.add(token)
    assert answer["body"]["tokenType"] == "access" and tokens.claims_of(token)["client_id"] == IDP
    assert function.bus("VERIFY_TOKEN", {"token": token}).json()["body"]["valid"] is True
    assert function.bus("INTROSPECT_TOKEN", {"token": token}).json()["body"]["active"] is True
    assert function.bus("REVOKE_TOKEN", {"token": token, "reason": "test"}).json() == {
        "statusCode": 200, "body": {"revoked": True}}
    refused = function.bus("VERIFY_TOKEN", {"token": token}).json()
    assert refused["statusCode"] == 401 and refused["error"] == "invalid_token" and refused["valid"] is False
    assert function.bus("INTROSPECT_TOKEN", {"token": token}).json()["body"] == {"active": False}
    keys = function.bus("GET_JWKS", {}).json()["body"]["keys"]
    assert kid_of(token) in {key["kid"] for key in keys}
    assert function.bus("GET_JWKS", None).json()["statusCode"] == 200


def test_an_event_may_do_what_the_client_of_its_source_may(make_function):
    made = make_function(TOKEN_SIGNING_ALG="ES256").start()
    unknown = made.bus("GENERATE_TOKEN", generate()).json()
    assert unknown["statusCode"] == 401 and unknown["error"] == "invalid_client"
    made.add_client(IDP, "token:issue stories:read")
    allowed = made.bus("GENERATE_TOKEN", generate()).json()
    assert allowed["statusCode"] == 200
    made.tokens.add(allowed["body"]["token"])
    for detail in (generate(subject="somebody"), generate(clientId="agent"), generate(claims={"role": "admin"}),
                   generate(scope="keys:rotate")):
        assert made.bus("GENERATE_TOKEN", detail).json()["statusCode"] in (400, 403), detail
    assert made.bus("ROTATE_KEYS", {}).json()["statusCode"] == 403
    assert made.bus("REVOKE_TOKEN", {"token": allowed["body"]["token"]}, source="storytailor.auth"
                    ).json()["statusCode"] == 401
    made.run("clients", "disable", IDP)
    made.until(lambda: made.bus("VERIFY_TOKEN", {"token": "x"}).json()["statusCode"] == 401, "it is still allowed")
    made.stop()


@pytest.mark.parametrize("event", [
    bus("GENERATE_TOKEN", generate(), source="storytailor.other"),
    bus("GENERATE_TOKEN", generate(), source="Storytailor.idp"),
    bus("GENERATE_TOKEN", generate(), source="aws.events"),
    bus("generate_token", generate()),
    bus("Scheduled Event", {}, source=IDP),
    bus("GENERATE_TOKEN", "text"), bus("GENERATE_TOKEN", None), bus("GENERATE_TOKEN", []),
    bus("GENERATE_TOKEN", generate()) | {"id": ""}, bus("GENERATE_TOKEN", generate()) | {"id": "x" * 300},
    bus("GENERATE_TOKEN", generate()) | {"id": 7},
    bus("GENERATE_TOKEN", {}), bus("VERIFY_TOKEN", {"token": 1}), bus("VERIFY_TOKEN", {"other": 1}),
])
def test_what_no_retry_could_mend_is_answered(function, event):
    answer = function.api.invoke(event).json()
    assert answer["statusCode"] == 400 and answer["error"] == "invalid_request" and answer["error_description"]
    assert "body" not in answer


def test_an_event_that_is_delivered_twice_is_done_once(function):
    for detail_type, detail in (("GENERATE_TOKEN", generate()), ("ROTATE_KEYS", {"immediate": True})):
        assert function.api.invoke(schedule()).json()["statusCode"] == 200  # there is a next key
        event = bus(detail_type, detail)
        first = function.api.invoke(event).json()
        assert first["statusCode"] == 200 and "duplicate" not in first["body"], first
        if "token" in first["body"]:
            function.tokens.add(first["body"]["token"])
        kids = function.kids("active")
        again = function.api.invoke(event).json()
        assert again == {"statusCode": 200, "body": {"duplicate": True}}
        assert function.kids("active") == kids
        other = function.api.invoke(event | {"id": str(uuid.uuid4())}).json()
        assert other["statusCode"] in (200, 409) and "duplicate" not in other.get("body", {})
        if "token" in other.get("body", {}):
            function.tokens.add(other["body"]["token"])


def test_a_refused_event_is_not_done(function):
    """It may come again when what was wrong is mended."""
    event = bus("GENERATE_TOKEN", generate(), source="storytailor.auth")
    assert function.api.invoke(event).json()["statusCode"] == 401
    function.add_client("storytailor.auth", "token:issue:any stories:read")
    answer = function.api.invoke(event).json()
    assert answer["statusCode"] == 200 and answer["body"]["token"]
    function.tokens.add(answer["body"]["token"])


# --- schedules ------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("source", ["aws.events", "aws.scheduler"])
def test_a_schedule_rotates_purges_and_counts(make_function, source):
    made = make_function(**SHORT).start()
    made.agent = made.add_client("agent")
    token = made.token(made.agent)
    first = made.kids("active")

    def rotated():
        assert made.api.invoke(schedule(source)).json() == {"statusCode": 200, "body": {"complete": True}}
        return made.kids("active") != first
    made.until(rotated, "the keys were not rotated")
    assert kid_of(token) in {key["kid"] for key in made.jwks()["keys"]}
    made.stop()


# --- the log --------------------------------------------------------------------------------------------------------

def test_every_line_of_a_call_names_it(function):
    begin = len(function.lines())
    call = function.api.begin(function.event_of("POST", "/token", json={}))
    call.wait()
    last = function.api.invoke(function.event_of("GET", "/health/live"))
    line_of(function, lambda entry: entry["event"] == "request" and entry.get("aws_request_id") == last.id)
    mine = [entry for entry in map(json.loads, function.lines()[begin:]) if entry.get("aws_request_id") == call.id]
    assert mine and all(entry["trace_id"].startswith("Root=1-5759e988-") for entry in mine)
    assert all(entry["deadline_ms"] == call.deadline_ms for entry in mine)
    for entry in map(json.loads, function.lines()[begin:]):
        assert entry["event"] != "request" or entry["aws_request_id"]


@pytest.mark.parametrize("trace", ["", None, "a\tb", "x" * 600])
def test_a_strange_trace_id_does_no_harm(function, trace):
    headers = {"Lambda-Runtime-Trace-Id": trace}
    call = function.api.invoke(function.event_of("GET", "/health/live"), **headers)
    assert call.json()["statusCode"] == 200


# --- time -----------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("deadline", [0.05, -5, -10**9])
def test_a_near_deadline_is_a_503(function, kind, deadline):
    call = function.api.invoke(function.event_of("GET", "/.well-known/jwks.json"), deadline_s=deadline)
    status, fields, body = lambda_events.answer_of(kind, call.json())
    assert status == 503 and json.loads(body)["error"] == "temporarily_unavailable"
    assert "retry-after" in {name.lower() for name, _ in fields}


@pytest.mark.parametrize("event", [bus("GENERATE_TOKEN", generate()), schedule()])
def test_a_near_deadline_fails_an_event_so_that_it_comes_again(function, event):
    assert function.api.invoke(event, deadline_s=0.05).error()["errorType"] == "Function.Unavailable"


@pytest.mark.parametrize("deadline", ["", "soon", "-1", "1e99", "99999999999999999999999", None])
def test_a_deadline_of_nonsense_is_none(function, deadline):
    call = function.api.invoke(function.event_of("GET", "/health/live"), **{"Lambda-Runtime-Deadline-Ms": deadline})
    assert call.json()["statusCode"] == 200


# --- the runtime API ------------------------------------------------------------------------------------------------

def reset(handler):
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.hang_up()


def head(*lines, body=b""):
    return "\r\n".join(["HTTP/1.1 200 OK", *lines, "", ""]).encode() + body


ID = "Lambda-Runtime-Aws-Request-Id: 8476a536-e9f4-11e8-9739-2dfe598c3fcd"
NONSENSE = {
    "hang-up": lambda handler: handler.hang_up(),
    "reset": reset,
    "half": lambda handler: handler.raw(head(ID, "Content-Length: 100", body=b'{"a"')),
    "no-http": lambda handler: handler.raw(b"SSH-2.0-OpenSSH\r\n\r\n"),
    "http-1.0": lambda handler: handler.raw(b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{}"),
    "no-length": lambda handler: handler.raw(head(ID, body=b"{}")),
    "two-lengths": lambda handler: handler.raw(head(ID, "Content-Length: 2", "Content-Length: 3", body=b"{}x")),
    "bad-chunks": lambda handler: handler.raw(head(ID, "Transfer-Encoding: chunked", body=b"zz\r\n{}\r\n0\r\n\r\n")),
    "no-id": lambda handler: handler.answer(200, b"{}"),
    "bad-id": lambda handler: handler.answer(200, b"{}", [("Lambda-Runtime-Aws-Request-Id", "../init/error")]),
    "long-head": lambda handler: handler.raw(head("X: " + "x" * 20000, ID, "Content-Length: 2", body=b"{}")),
    "403": lambda handler: handler.answer(403, b'{"errorMessage":"Forbidden"}'),
    "500": lambda handler: handler.answer(500, b'{"errorMessage":"Container error"}'),
    "continue": lambda handler: handler.raw(b"HTTP/1.1 100 Continue\r\n\r\n"),
    "more-than-said": lambda handler: handler.raw(head(ID, "Content-Length: 2", body=b"{}{}")),
}


@pytest.mark.parametrize("fault", NONSENSE)
def test_a_runtime_api_that_fails_once_is_asked_again(function, fault):
    for _ in range(3):
        function.api.faults.put(NONSENSE[fault])
    function.api.invoke(function.event_of("GET", "/health/live"))  # the GET that is waiting now takes this one
    assert function.get("/health/live").status_code == 200


def test_an_event_in_chunks_is_read(function):
    event = json.dumps(function.event_of("GET", "/health/live")).encode()
    call = function.api.expect(event)
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(event[at:at + 7]), event[at:at + 7]) for at in range(0, len(event), 7))
    function.api.faults.put(lambda handler: handler.raw(head(
        f"Lambda-Runtime-Aws-Request-Id: {call.id}", "Transfer-Encoding: chunked", body=chunks + b"0\r\n\r\n")))
    function.get("/health/live")
    assert call.json()["statusCode"] == 200


@pytest.mark.parametrize("fault", ["hang-up", "reset", "403", "500", "no-http", "late"])
def test_an_answer_that_is_not_taken_ends_nothing(function, fault):
    faults = NONSENSE | {"late": lambda handler: (time.sleep(1), handler.answer(202))}
    function.api.answer_faults.put(faults[fault])
    function.api.begin(function.event_of("GET", "/health/live")).taken.wait(PATIENCE_S)
    assert function.get("/health/live").status_code == 200


def test_a_runtime_api_that_is_gone_ends_the_process(make_function):
    made = make_function().start()
    for _ in range(40):
        made.api.faults.put(NONSENSE["hang-up"])
    made.api.begin(made.event_of("GET", "/health/live"))  # answered, if it asked before there were faults
    assert made.process.wait(PATIENCE_S) == 3
    made.process = None
    made.log_path.write_text("")  # a sentence for people


def test_sigterm_ends_it(make_function):
    """Lambda sends it where there are extensions."""
    made = make_function().start()
    made.get("/health/live")
    made.stop()


# --- the start ------------------------------------------------------------------------------------------------------

def test_a_start_that_fails_is_told(make_function):
    made = make_function(DATABASE_URL="postgresql://u@127.0.0.1:1/x", TOKEN_STORE_TIMEOUT="1")
    assert made.spawn().wait(PATIENCE_S) == 3
    made.process = None
    made.log_path.write_text("")  # a sentence for people
    (body, sent), = made.api.init_errors
    body = json.loads(body)
    assert body["errorType"] == sent["lambda-runtime-function-error-type"] == "Runtime.InitError"
    assert body["errorMessage"] and "127.0.0.1" not in body["errorMessage"]


@pytest.mark.parametrize("settings", [{"TOKEN_ACCESS_TTL": "soon"}, {"TOKEN_DATA_DIR": ""}])
def test_settings_that_do_not_fit_are_told(make_function, settings):
    made = make_function(**settings)
    assert made.spawn(cwd=made.home).wait(PATIENCE_S) == 2
    made.process = None
    assert len(made.api.init_errors) == 1
    made.log_path.write_text("")  # a sentence for people


def test_without_lambda_there_is_no_lambda():
    assert "AWS_LAMBDA_RUNTIME_API" in run("lambda", expect=2).stderr


def test_it_runs_as_bootstrap(make_function):
    made = make_function()
    link = made.home / "bootstrap"
    link.symlink_to(BINARY)
    made.spawn("function.handler", program=link)  # a word that an image's CMD may add
    made.until(lambda: "serving_lambda" in made.log, "it does not serve")
    assert made.get("/health/live").status_code == 200
    made.stop()
    version = subprocess.run([link, "version"], env=environment(made.settings), capture_output=True, text=True,
                             timeout=PATIENCE_S, check=True)
    assert version.stdout.startswith("token-service ")


def test_snapstart_makes_nothing_before_the_snapshot(make_function):
    made = make_function()
    made.settings["AWS_LAMBDA_INITIALIZATION_TYPE"] = "snap-start"
    made.spawn()
    assert made.api.restore_asked.wait(PATIENCE_S)
    assert not made.data_dir.exists(), "there are keys before the snapshot"
    assert len(list(Path(f"/proc/{made.process.pid}/task").iterdir())) == 1
    made.api.restore.set()
    made.until(lambda: "serving_lambda" in made.log, "it does not serve")
    assert made.get("/health/live").status_code == 200 and made.key_files()
    made.stop()


def test_a_restored_start_that_fails_is_told(make_function):
    made = make_function(DATABASE_URL="postgresql://u@127.0.0.1:1/x", TOKEN_STORE_TIMEOUT="1")
    made.settings["AWS_LAMBDA_INITIALIZATION_TYPE"] = "snap-start"
    made.api.restore.set()
    assert made.spawn().wait(PATIENCE_S) == 3
    made.process = None
    made.log_path.write_text("")  # a sentence for people
    assert len(made.api.restore_errors) == 1 and not made.api.init_errors


# --- many at once ---------------------------------------------------------------------------------------------------

def test_as_many_events_at_once_as_lambda_says(make_function):
    made = make_function(TOKEN_SIGNING_ALG="ES256")
    made.settings["AWS_LAMBDA_MAX_CONCURRENCY"] = "8"
    made.start()
    made.agent = made.add_client("agent")
    made.until(lambda: made.api.waiting == 8, "not so many wait for events")

    def life(_):
        token = made.token(made.agent)
        assert made.verify(made.agent, token).json()["valid"]
        assert made.revoke(made.agent, token).json()["revoked"]
        assert made.verify(made.agent, token).status_code == 401
        assert made.api.invoke(schedule()).json()["statusCode"] == 200
        return token

    with ThreadPoolExecutor(16) as pool:
        made_tokens = list(pool.map(life, range(64)))
    assert len(set(made_tokens)) == 64 and made.api.waiting_most == 8
    twice = [call.id for call in made.api.calls.values() if call.times != 1]
    assert not twice
    made.stop()


@pytest.mark.parametrize("count", ["0", "-1", "many", "1.5", ""])
def test_a_concurrency_of_nonsense_is_one(make_function, count):
    made = make_function()
    made.settings["AWS_LAMBDA_MAX_CONCURRENCY"] = count
    made.start()
    made.until(lambda: made.api.waiting == 1, "nobody waits for events")
    assert made.get("/health/live").status_code == 200 and made.api.waiting_most == 1
    made.stop()


def test_the_help_names_it():
    assert re.search(r"^ *(token-service )?lambda\b", run("help").stdout, re.M)
