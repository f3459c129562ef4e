"""Events as AWS makes them of HTTP requests, and as EventBridge delivers them: every member that AWS's documentation
shows, with values of our own.

What is written down here of each kind is what readers get wrong. REST (format 1.0): the query comes decoded, as lists
too, and the path without the stage, but with a custom domain's base path; a console test has neither headers nor a real
address. HTTP API and Function URL (format 2.0): lower-case names, several lines joined, cookies apart, the query raw,
the path with the stage unless that is $default. Load balancer: the query as it was sent, each value or lists by a flag
of the target group, the caller the last of X-Forwarded-For."""

import base64
import itertools
import uuid
from urllib.parse import unquote_plus

CALLER = "192.0.2.77"
NUMBERS = itertools.count(1)


def _lists(pairs):
    made = {}
    for name, value in pairs:
        made.setdefault(name, []).append(value)
    return made


def _lasts(pairs):
    return dict(pairs)


def _joined(pairs):
    return {name: ",".join(values) for name, values in _lists(pairs).items()}


def _body(body, is_coded):
    """`is_coded` None: as AWS does, which can't put other bytes than UTF-8 into JSON."""
    if not body:
        return {"body": None, "isBase64Encoded": False}
    try:
        text = None if is_coded else body.decode()
    except UnicodeDecodeError:
        text = None
    return ({"body": base64.b64encode(body).decode(), "isBase64Encoded": True} if text is None
            else {"body": text, "isBase64Encoded": False})


def _pairs(query, is_decoded):
    made = [tuple(pair.split("=", 1)) if "=" in pair else (pair, "") for pair in query.split("&") if pair]
    return [(unquote_plus(name), unquote_plus(value)) for name, value in made] if is_decoded else made


def rest(method, path, headers=(), query="", body=b"", *, caller=CALLER, stage="prod", base="", is_coded=None):
    """API Gateway, REST API, by a resource /{proxy+}."""
    headers = [("Host", "a1b2c3d4e5.execute-api.us-east-1.amazonaws.com"),
               ("X-Forwarded-For", f"{caller}, 198.51.100.4"),
               ("X-Forwarded-Port", "443"), ("X-Forwarded-Proto", "https"), ("Via", "2.0 cloudfront.example"), *headers]
    pairs = _pairs(query, True)
    return {
        "resource": "/{proxy+}", "path": base + path, "httpMethod": method,
        "headers": _lasts(headers), "multiValueHeaders": _lists(headers),
        "queryStringParameters": _lasts(pairs) or None, "multiValueQueryStringParameters": _lists(pairs) or None,
        "pathParameters": {"proxy": path.removeprefix("/")}, "stageVariables": None,
        "requestContext": {
            "resourceId": "abc123", "resourcePath": "/{proxy+}", "httpMethod": method,
            "extendedRequestId": "ZXh0ZW5kZWQ=", "requestTime": "27/Nov/2026:12:00:00 +0000",
            "path": f"/{stage}{path}" if not base else base + path, "accountId": "111122223333", "protocol": "HTTP/1.1",
            "stage": stage, "domainPrefix": "a1b2c3d4e5", "requestTimeEpoch": 1795780800000,
            "requestId": str(uuid.uuid4()), "domainName": "a1b2c3d4e5.execute-api.us-east-1.amazonaws.com",
            "apiId": "a1b2c3d4e5", "deploymentId": "d1",
            "identity": {"cognitoIdentityPoolId": None, "accountId": None, "cognitoIdentityId": None, "caller": None,
                         "sourceIp": caller, "principalOrgId": None, "accessKey": None,
                         "cognitoAuthenticationType": None, "cognitoAuthenticationProvider": None, "userArn": None,
                         "userAgent": "agent/1", "user": None}},
    } | _body(body, is_coded)


def _format_2(method, path, headers, query, body, caller, is_coded, domain, stage, route):
    headers = [("accept", "*/*"), ("host", domain), ("user-agent", "agent/1"), ("x-forwarded-for", caller),
               ("x-forwarded-port", "443"), ("x-forwarded-proto", "https"), *headers]
    cookies = [cookie.strip() for name, value in headers if name.lower() == "cookie" for cookie in value.split(";")]
    lower = [(name.lower(), value) for name, value in headers if name.lower() != "cookie"]
    raw = path if stage == "$default" else f"/{stage}{path}"
    return {
        "version": "2.0", "routeKey": route, "rawPath": raw, "rawQueryString": query, "headers": _joined(lower),
        "requestContext": {
            "accountId": "111122223333", "apiId": domain.split(".", 1)[0], "domainName": domain,
            "domainPrefix": domain.split(".", 1)[0],
            "http": {"method": method, "path": raw, "protocol": "HTTP/1.1", "sourceIp": caller, "userAgent": "agent/1"},
            "requestId": f"R{next(NUMBERS)}=", "routeKey": route, "stage": stage,
            "time": "27/Nov/2026:12:00:00 +0000", "timeEpoch": 1795780800000},
    } | ({"cookies": cookies} if cookies else {}) | (
        {"queryStringParameters": _joined(_pairs(query, True))} if query else {}) | {
            name: value for name, value in _body(body, is_coded).items() if value is not None}


def http(method, path, headers=(), query="", body=b"", *, caller=CALLER, stage="$default", is_coded=None,
         route="$default"):
    """API Gateway, HTTP API."""
    return _format_2(method, path, headers, query, body, caller, is_coded,
                     "a1b2c3d4e5.execute-api.us-east-1.amazonaws.com", stage, route)


def function_url(method, path, headers=(), query="", body=b"", *, caller=CALLER, is_coded=None):
    return _format_2(method, path, headers, query, body, caller, is_coded,
                     "abcdefghijklmnop.lambda-url.us-east-1.on.aws", "$default", "$default")


def _alb(method, path, headers, body, caller, is_coded, scheme):
    headers = [("accept", "*/*"), ("host", "lb-1.us-east-1.elb.amazonaws.com"), ("x-forwarded-for", caller),
               ("x-forwarded-port", "443"), ("x-forwarded-proto", scheme), ("x-amzn-trace-id", "Root=1-1-1"), *headers]
    target = "arn:aws:elasticloadbalancing:us-east-1:111122223333:targetgroup/lambda/6d0ecf831eec9f09"
    coded = _body(body, is_coded)
    return [(name.lower(), value) for name, value in headers], {
        "requestContext": {"elb": {"targetGroupArn": target}}, "httpMethod": method, "path": path,
    } | coded | {"body": coded["body"] or ""}


def alb(method, path, headers=(), query="", body=b"", *, caller=CALLER, is_coded=None, scheme="https"):
    """Application Load Balancer, one value of each name: of several the last."""
    lower, made = _alb(method, path, headers, body, caller, is_coded, scheme)
    return made | {"headers": _lasts(lower), "queryStringParameters": _lasts(_pairs(query, False))}


def alb_lists(method, path, headers=(), query="", body=b"", *, caller=CALLER, is_coded=None, scheme="https"):
    """The same with lambda.multi_value_headers.enabled."""
    lower, made = _alb(method, path, headers, body, caller, is_coded, scheme)
    return made | {"multiValueHeaders": _lists(lower), "multiValueQueryStringParameters": _lists(_pairs(query, False))}


KINDS = {"rest": rest, "http": http, "function_url": function_url, "alb": alb, "alb_lists": alb_lists}


def bus(detail_type, detail, source="storytailor.idp", event_id=None, **more):
    """EventBridge."""
    return {"version": "0", "id": event_id or str(uuid.uuid4()), "detail-type": detail_type, "source": source,
            "account": "111122223333", "time": "2026-11-27T12:00:00Z", "region": "us-east-1", "resources": [],
            "detail": detail} | more


def schedule(source="aws.events", **more):
    """By a rule, or by EventBridge Scheduler, whose detail is text."""
    return bus("Scheduled Event", "{}" if source == "aws.scheduler" else {}, source,
               resources=["arn:aws:events:us-east-1:111122223333:rule/every-minute"], **more)


def answer_of(kind, answer):
    """status, [(name, value)] and the body's bytes of what the function answered a request of that kind with, as AWS
    takes it; nothing else may be in it."""
    allowed = {"statusCode", "isBase64Encoded", "body"} | {
        "rest": {"multiValueHeaders"}, "http": {"headers", "cookies"}, "function_url": {"headers", "cookies"},
        "alb": {"headers", "statusDescription"}, "alb_lists": {"multiValueHeaders", "statusDescription"}}[kind]
    assert answer.keys() <= allowed, answer.keys() - allowed
    assert isinstance(answer["statusCode"], int) and isinstance(answer["isBase64Encoded"], bool)
    if kind.startswith("alb"):
        status, _, phrase = answer["statusDescription"].partition(" ")
        assert status == str(answer["statusCode"]) and phrase
    fields = [(name, value) for name, values in answer.get("multiValueHeaders", {}).items() for value in values]
    fields += list(answer.get("headers", {}).items())
    fields += [("Set-Cookie", cookie) for cookie in answer.get("cookies", [])]
    assert all(isinstance(value, str) for _, value in fields)
    body = answer["body"].encode()
    return answer["statusCode"], fields, base64.b64decode(body, validate=True) if answer["isBase64Encoded"] else body
