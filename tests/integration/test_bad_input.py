"""What hostile or broken callers send, by raw sockets: every operation answers each with a 4xx, a code and a sentence,
or closes the connection where nothing can be answered; and goes on as before, with the memory it had before."""

import json
import re
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from service import check_answer
from wire import Broken, Closed, head, post

DEEP = 100_000
MIB = 1 << 20
GOOD = {
    "/token": {"subject": "s", "clientId": "agent", "scope": "", "tokenType": "access"},
    "/token/verify": {"token": "a.b.c"},
    "/token/introspect": {"token": "a.b.c"},
    "/token/revoke": {"token": "a.b.c"},
}
FORMS = ["/token/introspect", "/token/revoke", "/token"]
FORM = "application/x-www-form-urlencoded"


@pytest.fixture(scope="module")
def server(make_server):
    """With the time limits that a new user has: with shorter ones, whoever stands still between two steps is cut."""
    return make_server(TOKEN_SIGNING_ALG="ES256").start()


@pytest.fixture(scope="module")
def basic(agent):
    return f"Authorization: {agent.basic()}"


@pytest.fixture(autouse=True)
def still_there(server):
    """After every test here the server is the same process, and answers."""
    pid = server.process.pid
    yield
    assert server.process.poll() is None and server.process.pid == pid
    assert server.still_answers()


def refused(server, request, path, statuses=range(400, 500)):
    """Sends and reads one answer, which must be a refusal of the usual form."""
    with server.wire() as wire:
        sender = threading.Thread(target=wire.send, args=(request,))  # the answer may come before all is sent
        sender.start()
        answer = wire.read()
        sender.join()
    assert answer.status in statuses, (answer.status, answer.body, request[:300])
    check_answer("POST", path, answer.status, answer.headers, answer.body)
    return answer


# --- JSON -----------------------------------------------------------------------------------------------------------

def members(path):
    return json.dumps(GOOD[path])[1:-1]


def not_json(path):
    """Bodies that RFC 8259 refuses, or that the service must. Each holds what a good body does, as far as it can."""
    good = members(path)
    first = next(iter(GOOD[path]))
    yield from (b"", b" ", b"\n", b"x", b"{", b"}", b"[", b"]", b'"', b"{}x", b"{} {}", b"nul", b"True", b"NaN", b"'x'")
    yield from (b"null", b"true", b"1", b'"x"', b"[]", f"[{{{good}}}]".encode(), b"[[]]",
                b"{}")  # JSON, but no good body
    for text in (f"{{{good}", f"{good}}}", f"{{{good}}}x", f"{{{good}}}{{{good}}}", f"{{{good},}}", f"{{,{good}}}",
                 f"{{{good}}},", f"{{{good} \"a\":1}}", f"{{{good},\"a\"}}", f"{{{good},\"a\":}}", f"{{{good},a:1}}",
                 f"{{{good},'a':1}}", f"{{{good},\"a\":.5}}", f"{{{good},\"a\":5.}}", f"{{{good},\"a\":01}}",
                 f"{{{good},\"a\":+1}}", f"{{{good},\"a\":0x1}}", f"{{{good},\"a\":1e}}", f"{{{good},\"a\":-}}",
                 f"{{{good},\"a\":NaN}}", f"{{{good},\"a\":Infinity}}", f"{{{good},\"a\":1e400}}",
                 f"{{{good},\"a\":-1e400}}", f"{{{good},\"a\":tru}}", f"{{{good},\"a\":\"\n\"}}",
                 f"{{{good},\"a\":\"\t\"}}", f"{{{good},\"a\":\"\\x41\"}}", f"{{{good},\"a\":\"\\u12\"}}",
                 f"{{{good},\"a\":\"\\u0000\"}}", f"{{{good},\"\\u0000\":1}}", f"{{{good},\"a\":\"\\ud800\"}}",
                 f"{{{good},\"a\":\"\\udc00\\ud800\"}}", f"{{{good},\"a\":\"\\ud800\\u0041\"}}", f"{{{good}}}/* c */",
                 f"// c\n{{{good}}}", f"\ufeff{{{good}}}", f"{{{good}}}\ufeff", f"{{{good},{good}}}",
                 f"{{{good},\"{first}\":\"x\"}}", f"{{\"{first}\":\"x\",{good}}}",
                 f"{{{good},\"\\u00{ord(first[0]):02x}{first[1:]}\":\"x\"}}"):
        yield text.encode()
    raw = good.encode()
    for junk in (b"\0", b"\xff", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xf0\x80\x80\xaf", b"\xc3",
                 b"\x80"):
        yield b"{" + raw + b',"a":"' + junk + b'"}'
        yield b"{" + raw + b',"' + junk + b'":1}'
        yield b"{" + raw + b"}" + junk
        yield junk + b"{" + raw + b"}"


@pytest.mark.parametrize("path", GOOD)
def test_what_is_not_json_is_refused(server, basic, path):
    for body in not_json(path):
        answer = refused(server, post(path, body, "application/json", basic), path, [400])
        assert answer.json()["error"] == "invalid_request", body


@pytest.mark.parametrize("path", GOOD)
def test_depth_bombs_are_refused(server, basic, path):
    """Within the body limit they are parsed; above it they are not even kept."""
    good = members(path)
    for depth in (33, 1000, 30_000):
        for bomb in (f"{'[' * depth}{']' * depth}", "[" * depth, '{"a":' * min(depth, 12_000),
                     f"{{{good},\"a\":{'[' * depth}{']' * depth}}}", f"{{{good},\"a\":{'[' * depth}"):
            refused(server, post(path, bomb.encode(), "application/json", basic), path, [400])
    for bomb in (b"[" * DEEP, b"[" * DEEP + b"]" * DEEP, b'{"a":' * DEEP):
        refused(server, post(path, bomb, "application/json", basic), path, [413])


@pytest.mark.parametrize("path", GOOD)
def test_many_values_and_members_are_refused(server, basic, path):
    good = members(path)
    many = ",".join(f'"m{i}":{i}' for i in range(4000))
    for body in (f"{{{good},{many}}}", f"{{{good},\"a\":[{'1,' * 30_000}1]}}", f"{{{good},\"a\":{{{many}}}}}"):
        refused(server, post(path, body.encode(), "application/json", basic), path, [400])


@pytest.mark.parametrize("path", GOOD)
def test_large_bodies_are_answered_413(server, basic, path):
    good = members(path)
    fits = f"{{{good}{' ' * (65536 - len(good) - 2)}}}".encode()
    assert len(fits) == 65536
    with server.wire() as wire:
        answer = wire.call(post(path, fits, "application/json", basic))
        assert answer.status != 413, "64 KiB are allowed"
    for body in (fits + b" ", b"x" * MIB, b"{" + b" " * 10 * MIB + b"}", b"\0" * 10 * MIB):
        answer = refused(server, post(path, body, "application/json", basic), path, [413])
        assert answer.json()["error"] == "request_too_large"


def test_a_body_that_is_too_large_is_refused_before_it_is_sent(server, basic):
    """RFC 9110 section 10.1.1: who asks, or threatens with more than is worth reading, hears it at once."""
    for length, expect in ((MIB, ["Expect: 100-continue"]), (10**12, []), (10**12, ["Expect: 100-continue"]),
                           (2**63 - 1, [])):
        with server.wire() as wire:
            wire.send(head("POST", "/token/verify", basic, "Content-Type: application/json",
                           f"Content-Length: {length}", *expect))
            assert wire.read().status in (400, 413)
            assert wire.is_closed()


def test_expect_is_answered_for_a_body_that_fits(server, basic):
    body = json.dumps(GOOD["/token/introspect"]).encode()
    with server.wire() as wire:
        wire.send(head("POST", "/token/introspect", basic, "Content-Type: application/json",
                       f"Content-Length: {len(body)}", "Expect: 100-continue"))
        assert wire.read().status == 100
        assert wire.call(body).status == 200


# --- members --------------------------------------------------------------------------------------------------------

WRONG_TYPES = ["null", "true", "false", "0", "1", "-1", "1.5", "1e400", "[]", "{}", '["x"]', '{"x":1}', "[[]]",
               '[null]']
NO_INTEGERS = ["null", "true", '"60"', '""', "1.5", "1.0", "6e1", "-1", "9223372036854775808", "18446744073709551616",
               "1e400", "1e18", "4294967296000000", "[]", "{}", "[60]"]
NO_TEXTS = ['""', '"\\u0000"', '"a\\u0000b"', '"\\ud800"']

NOT_NULL = [text for text in WRONG_TYPES if text != "null"]   # which is as good as absent
TABLE = {
    "/token": {
        "subject": WRONG_TYPES + NO_TEXTS + ['"' + "x" * 256 + '"'],
        "clientId": WRONG_TYPES + NO_TEXTS + ['"nobody"', '"' + "x" * 256 + '"', '"AGENT"', '"agent "'],
        "scope": WRONG_TYPES + ['"\\u0000"', '"nothing:allowed"', '"' + "x" * 3000 + '"', '"\\u00e9"'],
        "tokenType": WRONG_TYPES + NO_TEXTS + ['"x"', '"access\\u0000"'],
        "claims": [text for text in NOT_NULL if text not in ("{}", '{"x":1}')]
        + ['""', '{"iss":"x"}', '{"x":1,"x":1}', '{"\\u0000":1}', '{"x":1e400}', '{"x":"\\ud800"}'],
        "expiresIn": NO_INTEGERS[1:] + ["0", "2147483648", "86401"],
        "audience": ["true", "0", "1", "[]", "{}", '""', '[""]', '["x",1]', '["x",null]', '[["x"]]', '{"x":1}',
                     '"' + "x" * 256 + '"', json.dumps(["x"] * 17), '"\\u0000"', '["a\\u0000"]'],
        "nonce": NOT_NULL + NO_TEXTS + ['"' + "x" * 256 + '"'],
        "authTime": NO_INTEGERS[1:] + ["253402300800", "253402300799"],
    },
    "/token/verify": {
        "token": WRONG_TYPES + ['""', '"\\u0000"', '"a.b.c\\u0000"'],
        "options": [text for text in NOT_NULL if text != "{}"] + ['""'],
    },
    "/token/introspect": {
        "token": WRONG_TYPES + ['""', '"\\u0000"', '"a.b.c\\u0000"'],
        "token_type_hint": NOT_NULL + ['"\\u0000"', '"' + "x" * 100 + '"'],
    },
    "/token/revoke": {
        "token": WRONG_TYPES + ['""', '"\\u0000"', '"a.b.c\\u0000"'],
        "token_type_hint": NOT_NULL + ['"\\u0000"', '"' + "x" * 100 + '"'],
        "reason": NOT_NULL + ['"\\u0000"', '"' + "x" * 257 + '"'],
    },
}


@pytest.mark.parametrize("path, member", [(path, member) for path in TABLE for member in TABLE[path]])
def test_a_member_of_a_wrong_type_or_range_is_refused(server, basic, path, member):
    for written in TABLE[path][member]:
        rest = {name: value for name, value in GOOD[path].items() if name != member}
        body = "{" + ",".join([f'"{member}":{written}', *(f'"{k}":{json.dumps(v)}' for k, v in rest.items())]) + "}"
        answer = refused(server, post(path, body.encode(), "application/json", basic), path, [400])
        assert answer.json()["error"] in ("invalid_request", "invalid_scope"), (written, answer.body)


@pytest.mark.parametrize("path", GOOD)
def test_missing_unknown_and_duplicate_members_are_refused(server, basic, path):
    bodies = []
    for name in GOOD[path]:
        bodies.append(json.dumps({key: value for key, value in GOOD[path].items() if key != name}))
        bodies.append(json.dumps({key.upper() if key == name else key: value for key, value in GOOD[path].items()}))
        bodies.append("{" + members(path) + f', "{name}": {json.dumps(GOOD[path][name])}}}')
    bodies += [json.dumps(GOOD[path] | extra) for extra in ({"unknown": 1}, {"": 1}, {"__proto__": {}}, {"sub": "x"},
                                                            {"client_secret": "x"}, {"x" * 1000: 1})]
    for body in bodies:
        answer = refused(server, post(path, body.encode(), "application/json", basic), path, [400])
        assert answer.json()["error"] == "invalid_request", body


@pytest.mark.parametrize("path", GOOD)
@pytest.mark.parametrize("content_type", [
    None, "", "text/plain", "text/json", "application/xml", "application/json-patch+json", "application/jsonx",
    "application", "/json", "application/json; charset", "application/json;charset=", "application/json; =utf-8",
    "application/json; charset = utf-8", 'application/json; charset="utf-8', "multipart/form-data",
    "multipart/form-data; boundary=x", "application/json, text/plain", "application/json application/json", "*/*",
    "application/octet-stream", "application/jwt", "a" * 5000, "application/x-www-form-urlencoded; charset",
    "application/json; x=y z", "\xff\xfe",
])
def test_a_wrong_content_type_is_refused(server, basic, path, content_type):
    body = json.dumps(GOOD[path]).encode()
    lines = [basic, f"Content-Length: {len(body)}"]
    if content_type is not None:
        lines.append(f"Content-Type: {content_type}")
    answer = refused(server, head("POST", path, *lines) + body, path, [415])
    assert answer.json()["error"] == "unsupported_media_type"


@pytest.mark.parametrize("path", GOOD)
def test_the_content_type_of_json_has_its_usual_forms(server, basic, path):
    for content_type in ("application/json", "APPLICATION/JSON", "application/json; charset=utf-8",
                         "application/json;charset=UTF-8", 'application/json; charset="utf-8"', "application/json;",
                         "application/json; charset=utf-8;", "application/json; charset=ISO-8859-1",
                         'application/json; x="a;b"; y=z'):
        with server.wire() as wire:
            answer = wire.call(post(path, json.dumps(GOOD[path]).encode(), content_type, basic))
            assert answer.status == 200 or answer.json().get("valid") is False, (content_type, answer.body)


@pytest.mark.parametrize("parameters", ["", "; charset=utf-8", "; charset=utf-8;", "; charset=ISO-8859-1",
                                        ';x="a;\\"b"', " ; ; x=y"])
def test_a_form_is_one_whatever_its_parameters_say(server, basic, parameters):
    """RFC 9110 section 8.3.1: unknown ones are to be ignored, and a form has no charset."""
    kind = "application/x-www-form-urlencoded" + parameters
    with server.wire() as wire:
        assert wire.call(post("/token/introspect", b"token=x", kind, basic)).body == b'{"active":false}'
        assert wire.call(post("/token/introspect", b"token=\xe4", kind, basic)).status == 400, "UTF-8 all the same"


@pytest.mark.parametrize("path", GOOD)
@pytest.mark.parametrize("coding", ["gzip", "deflate, br", "x-any", "identity, gzip"])
def test_a_body_with_a_content_coding_is_415_and_the_answer_says_what_is_taken(server, basic, path, coding):
    """RFC 9110 section 15.5.16."""
    body = json.dumps(GOOD[path]).encode()
    answer = refused(server, post(path, body, "application/json", basic, f"Content-Encoding: {coding}"), path, [415])
    assert answer.json()["error"] == "unsupported_media_type"
    assert answer.headers["accept-encoding"] == "identity"
    with server.wire() as wire:
        answer = wire.call(post(path, body, "application/json", basic, "Content-Encoding: identity"))
        assert answer.status == 200 or answer.json().get("valid") is False


@pytest.mark.parametrize("lines", [
    ["X-Request-Id: a", "X-Request-Id: b"], ["Expect: 100-continue", "Expect: 100-continue"],
    ["Accept: a/b", "Accept: c/d"], ["If-None-Match: *", 'If-None-Match: "x"'], ["X-Any: a", "X-Any: b"],
    ["Forwarded: for=a", "Forwarded: for=b"], ["X-Forwarded-For: a", "X-Forwarded-For: b"],
    ["Content-Encoding:", "Content-Encoding: identity"], ["Connection: x", "Connection: keep-alive"],
    ["Cookie: a=b", "Cookie: c=d"], ["DPoP: a.b.c", "dpop: d.e.f"]])
def test_a_header_may_come_twice_unless_that_has_two_meanings(server, basic, lines):
    """RFC 9110 section 5.3. Those that may not are among the framings below."""
    with server.wire() as wire:
        answer = wire.call(post("/token/introspect", BODY, "application/json", basic, *lines))
        if answer.status == 100:
            answer = wire.read()
        assert answer.body == b'{"active":false}'
        assert answer.headers["x-request-id"] not in ("a", "b"), "two ids are none"


# --- forms ----------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("path", FORMS)
def test_a_bad_form_is_refused(server, basic, path):
    for body in (b"", b"&", b"=", b"&&&&", b"token", b"token=", b"=x", b"token=%", b"token=%4", b"token=%zz",
                 b"token=%00",
                 b"token=a%00b", b"token=\0", b"%00=x", b"token=%ff", b"token=\xff", b"token=%c0%af",
                 b"token=%ed%a0%80",
                 b"token=x&token=x", b"token=x&%74oken=x", b"token=x&token_type_hint=a&token_type_hint=b",
                 b"&".join(b"p%d=x" % i for i in range(200)), b"token=x&" + b"&".join(b"p%d=x" % i for i in range(200)),
                 b'{"token":"x"}', b"tok\0en=x", b"token=x&grant_type=\xff", b"\xef\xbb\xbftoken=x", b"a=%" * 5000):
        answer = refused(server, post(path, body, FORM, basic), path, [400])
        assert answer.json()["error"] in ("invalid_request", "unsupported_grant_type"), body


@pytest.mark.parametrize("path", FORMS)
def test_a_large_form_is_answered_413(server, basic, path):
    for body in (b"token=" + b"x" * 65536, b"token=x&" * 20_000, b"&" * 10 * MIB):
        refused(server, post(path, body, FORM, basic), path, [413])


@pytest.mark.parametrize("path", FORMS)
def test_a_bad_form_of_an_unknown_caller_is_refused_as_well(server, path):
    for body in (b"client_id=a&client_id=b&client_secret=x", b"client_id=a&client_secret=x&client_secret=y",
                 b"client_id=%00&client_secret=x", b"client_id=a&client_secret=%ff", b"client_secret=x", b"client_id=a",
                 b"client_id=" + b"x" * 60000 + b"&client_secret=x", b"client_id=a&client_secret=" + b"x" * 60000):
        refused(server, post(path, body, FORM), path, [400, 401])


# --- framing --------------------------------------------------------------------------------------------------------

BODY = b'{"token":"a.b.c"}'
N = len(BODY)


def framings(basic):
    """Requests whose end two parsers could see in different places (RFC 9112 sections 2.2, 5, 6.1, 6.3, 7.1), and such
    as are no HTTP at all. Each must be refused and its connection closed: what follows is never a second request."""
    def made(*lines, body=BODY, first="POST /token/introspect HTTP/1.1", end="\r\n"):
        fixed = ["Host: localhost", basic, "Content-Type: application/json"]
        return end.join([first, *fixed, *lines, "", ""]).encode("latin-1") + body

    chunked = b"%x\r\n%s\r\n0\r\n\r\n" % (N, BODY)
    yield "two lengths", made(f"Content-Length: {N}", f"Content-Length: {N + 5}")
    yield "two equal lengths", made(f"Content-Length: {N}", f"Content-Length: {N}")
    yield "a list of lengths", made(f"Content-Length: {N}, {N}")
    yield "length and chunked", made(f"Content-Length: {N}", "Transfer-Encoding: chunked", body=chunked)
    yield "chunked and length", made("Transfer-Encoding: chunked", f"Content-Length: {N}", body=chunked)
    for bad in ("", "+17", "-1", "-17", "0x11", "17 ", "1 7", "17,", "17;x", "a", "17a", "1e1", "17.0", "9" * 19,
                "9" * 40,
                "18446744073709551633", "\t", "\xb9"):
        if bad != "17 ":
            yield f"length {bad!r}", made(f"Content-Length: {bad}")
    for bad in ("chunked, chunked", "identity", "gzip", "gzip, chunked", "chunked, gzip", "x", "", "chunke", "xchunked",
                "\x0bchunked", "chunked\x0b", '"chunked"', "chunked;x", "ch\xfcnked"):
        yield f"encoding {bad!r}", made(f"Transfer-Encoding: {bad}", body=chunked)
    yield "two encodings", made("Transfer-Encoding: chunked", "Transfer-Encoding: chunked", body=chunked)
    yield "two encodings, one identity", made("Transfer-Encoding: chunked", "Transfer-Encoding: identity", body=chunked)
    yield "space before the colon of the length", made(f"Content-Length : {N}")
    yield "space before the colon of the encoding", made(f"Content-Length: {N}", "Transfer-Encoding : chunked")
    yield "tab before the colon", made(f"Content-Length\t: {N}")
    yield "space before any colon", made(f"Content-Length: {N}", "X-Any : x")
    yield "folded header", made(f"Content-Length: {N}", "X-Any: a\r\n b")
    yield "folded length", made(f"Content-Length:\r\n {N}")
    yield "folded encoding", made(f"Content-Length: {N}", "X: y\r\n Transfer-Encoding: chunked")
    yield "first header folded", made(f"Content-Length: {N}", first="POST /token/introspect HTTP/1.1\r\n X: y")
    yield "header without colon", made(f"Content-Length: {N}", "Nonsense")
    yield "header without name", made(f"Content-Length: {N}", ": x")
    yield "header name with brackets", made(f"Content-Length: {N}", "X(y): z")
    yield "header name with NUL", made(f"Content-Length: {N}", "X\0y: z")
    yield "header name not ASCII", made(f"Content-Length: {N}", "X\xe9: z")
    yield "header value with NUL", made(f"Content-Length: {N}", "X-Any: a\0b")
    yield "length with NUL", made(f"Content-Length: {N}\0 5")
    yield "authorization with NUL", made(f"Content-Length: {N}").replace(basic.encode(), basic.encode() + b"\0x")
    yield "encoding with NUL", made("Transfer-Encoding: chunked\0, identity", body=chunked)
    yield "two hosts", made(f"Content-Length: {N}", "Host: other")
    yield "two content types", made(f"Content-Length: {N}", "Content-Type: text/plain")
    yield "1000 headers", made(f"Content-Length: {N}", *(f"X-{i}: y" for i in range(1000)))
    yield "a long header", made(f"Content-Length: {N}", "X-Any: " + "y" * 100_000)
    yield "a long header name", made(f"Content-Length: {N}", "X" * 100_000 + ": y")
    yield "a long path", made(f"Content-Length: {N}", first=f"POST /{'x' * 100_000} HTTP/1.1")
    yield "a long query", made(f"Content-Length: {N}", first=f"POST /token/introspect?{'x' * 100_000} HTTP/1.1")
    yield "a long method", made(f"Content-Length: {N}", first=f"{'X' * 100_000} / HTTP/1.1")
    for bad in ("token", "http:///token", "http://u@h/token", "ftp://h/token", "h:80", "/token#x", "/%zz", "*"):
        yield f"target {bad}", made(f"Content-Length: {N}", first=f"POST {bad} HTTP/1.1")
    yield "CONNECT", made(first="CONNECT localhost:80 HTTP/1.1")
    yield "two origins", made(f"Content-Length: {N}", "Origin: null", "Origin: null")
    for version in ("HTTP/0.9", "HTTP/1", "HTTP/2.0", "HTTP/9.9", "HTTP/1.1x", "http/1.1", "HTTP/11", "HTTP", "ICY",
                    "HTTP/1.10"):
        yield f"version {version}", made(f"Content-Length: {N}", first=f"POST /token/introspect {version}")
    yield "no version", made(f"Content-Length: {N}", first="POST /token/introspect")
    yield "method alone", made(f"Content-Length: {N}", first="POST")
    yield "no Host", b"POST /token/introspect HTTP/1.1\r\nContent-Length: 0\r\n\r\n"
    size = b"%x" % N
    for what, body in {
        "no number": b"\r\n" + BODY + b"\r\n0\r\n\r\n", "not hexadecimal": b"xyz\r\n" + BODY + b"\r\n0\r\n\r\n",
        "0x before it": b"0x" + size + b"\r\n" + BODY + b"\r\n0\r\n\r\n",
        "a sign": b"+" + size + b"\r\n" + BODY + b"\r\n0\r\n\r\n",
        "a minus": b"-1\r\n" + BODY + b"\r\n0\r\n\r\n",
        "too large a number": b"f" * 17 + b"\r\n" + BODY, "a huge number": b"7fffffffffffffff\r\n" + BODY,
        "a longer number": b"f" * 200 + b"\r\n" + BODY,
        "a space before": b" " + size + b"\r\n" + BODY + b"\r\n0\r\n\r\n",
        "more than it says": b"5\r\n" + BODY + b"\r\n0\r\n\r\n",
        "no line break behind": size + b"\r\n" + BODY + b"0\r\n\r\n",
        "bare LF": size + b"\n" + BODY + b"\n0\n\n",
        "bare CR": size + b"\r" + BODY + b"\r0\r\r",
        "garbage": b"\xff\xfe\xfd\xfc" * 50,
    }.items():
        yield f"chunk: {what}", made("Transfer-Encoding: chunked", body=body)
    yield "bare LF between headers", made(f"Content-Length: {N}", end="\n")
    yield "bare CR between headers", made(f"Content-Length: {N}", end="\r")
    yield "CR CR LF between headers", made(f"Content-Length: {N}", end="\r\r\n")
    for garbage in (b"\0" * 100, b"\xff" * 1000, b"\r\r\r\r", bytes(range(256)) * 8, b"GET ", b"x" * 200_000,
                    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 200, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
                    b"SSH-2.0-OpenSSH_9.2\r\n", b"*1\r\n$4\r\nPING\r\n", b"HELP\r\n\r\n", b"GET / HTTP/1.1\0\r\n\r\n",
                    b"GET /health/live\r\n\r\n", b"GET /health/live \r\n\r\n"):
        yield f"garbage {garbage[:12]!r}", garbage


TOO_LONG = ["a long path", "a long query", "a long method", f"garbage {(b'x' * 12)!r}"]  # RFC 9112 section 3
SECOND = head("PUT", "/health/live")  # its 405 is what must not be heard on the same connection


@pytest.fixture(scope="module")
def heard(server, basic):
    """All that was answered to each of the framings until the connection was closed; many at once."""
    def hear(request):
        with server.wire() as wire:
            wire.send(request + SECOND)
            assert wire.is_closed()
            return wire.unread

    with ThreadPoolExecutor(32) as pool:
        whats, requests = zip(*framings(basic))
        return dict(zip(whats, pool.map(hear, requests)))


@pytest.mark.parametrize("what", [what for what, _ in framings("Authorization: Basic eDp5")])
def test_broken_framing_is_refused_and_nothing_follows(heard, what):
    """One answer, with a code and a sentence, and then the end."""
    head_, _, body = heard[what].partition(b"\r\n\r\n")
    status = int(re.match(rb"HTTP/1\.1 (\d{3}) ", head_)[1])
    assert status in (400, 413, 414, 431, 505), heard[what]
    assert (status == 505) == (what in ("version HTTP/0.9", "version HTTP/2.0", "version HTTP/9.9",
                                        "garbage b'PRI * HTTP/2'")), "another major version, and nothing else"
    assert (status == 431) == (what in ("1000 headers", "a long header", "a long header name")), heard[what]
    assert (status == 414) == (what in TOO_LONG), heard[what]
    assert b"\r\nConnection: close" in head_ and b"\r\nContent-Type: application/json" in head_, head_
    answer = json.loads(body)  # and nothing behind it
    assert answer["error"] and answer["error_description"], answer


def test_good_requests_by_raw_sockets_are_answered(server, basic):
    """What the broken ones above differ from."""
    absolute = post("http://localhost/token/introspect?x", BODY, "application/json", basic)
    later = absolute.replace(b" HTTP/1.1\r\n", b" HTTP/1.2\r\n")  # RFC 9110 section 2.5
    for request in (absolute, later, b"\r\n" + absolute, post("/token/introspect", BODY, "application/json", basic),
                    head("POST", "/token/introspect", basic, "Content-Type: application/json",
                         "Transfer-Encoding: chunked") + b"5\r\n" + BODY[:5] + b"\r\n%x;x=y\r\n" % (N - 5) + BODY[5:]
                    + b"\r\n0\r\n\r\n",
                    head("POST", "/token/introspect", basic, "content-type:application/json", f"CONTENT-LENGTH:{N}",
                         "X-Empty:", "X-Tab:\tx\t") + BODY):
        with server.wire() as wire:
            assert wire.call(request).body == b'{"active":false}'
            assert wire.call(request).body == b'{"active":false}', "and the connection is good for another"


def test_truncated_requests_are_told_so_or_dropped(server, basic):
    whole = post("/token/introspect", BODY, "application/json", basic)
    chunked = head("POST", "/token/introspect", basic, "Content-Type: application/json",
                   "Transfer-Encoding: chunked") + b"%x\r\n" % N + BODY + b"\r\n0\r\n\r\n"
    cuts = [request[:cut] for request in (whole, chunked) for cut in range(1, len(request), 5)]
    waiting = []
    for at, cut in enumerate(cuts):
        wire = server.wire()
        wire.send(cut)
        if at % 3 == 0:
            wire.close()  # goes away without a word
            continue
        if at % 3 == 1:
            wire.end()    # says that no more will come
        waiting.append(wire)
    for wire in waiting:
        with wire:
            assert wire.is_closed()
            status, error = (400, "invalid_request") if wire.has_ended else (408, "request_timeout")
            assert wire.unread.startswith(b"HTTP/1.1 %d " % status), wire.unread
            assert json.loads(wire.unread.partition(b"\r\n\r\n")[2])["error"] == error


def test_pipelined_requests_are_answered_in_their_order(server, basic):
    """RFC 9112 section 9.3.2; loop and worker calls mixed."""
    issue = post("/token", json.dumps(GOOD["/token"]).encode(), "application/json", basic)
    check = post("/token/introspect", BODY, "application/json", basic)
    wrong = post("/token/introspect", b"{", "application/json", basic)
    jwks = head("GET", "/.well-known/jwks.json")
    with server.wire() as wire:
        wire.send((issue + check + jwks + wrong) * 10)
        for _ in range(10):
            assert "token" in wire.read().json()
            assert wire.read().body == b'{"active":false}'
            assert "keys" in wire.read().json()
            assert wire.read().status == 400


def test_a_body_is_never_the_next_request(server, basic):
    """A refused call with a body that looks like a request: it is read and dropped, or the connection is closed."""
    inner = head("GET", "/health/live")
    for method, path in (("GET", "/health/live"), ("GET", "/.well-known/jwks.json"), ("POST", "/nowhere"),
                         ("PUT", "/token"), ("POST", "/health/live"), ("OPTIONS", "/token"), ("HEAD", "/health/live"),
                         ("POST", "/token"), ("DELETE", "/token")):
        with server.wire() as wire:
            wire.send(head(method, path, f"Content-Length: {len(inner)}") + inner)
            wire.end()
            wire.read(to_head=method == "HEAD")
            with pytest.raises(Closed):
                wire.read()


# --- methods and paths ----------------------------------------------------------------------------------------------

@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "TRACE", "CONNECT", "PROPFIND", "get", "Post", "X",
                                    "X" * 100,
                                    "GET/", "POST\x01", "P\xd6ST"])
def test_unknown_methods_are_refused(server, basic, method):
    for path in (*GOOD, "/health/live", "/.well-known/jwks.json", "/metrics"):
        with server.wire() as wire:
            wire.send(head(method, path, basic))
            try:
                assert wire.read().status in (400, 405, 501)
            except Closed:
                pass


@pytest.mark.parametrize("path", [
    "//", "/.", "/..", "/token/", "//token", "/token//verify", "/token/verify/", "/./token", "/x/../token",
    "/token/.",
    "/token/../token", "/../token", "/%74oken", "/token%2fverify", "/token%00", "/token%0d%0aX: y", "/Token",
    "/TOKEN/VERIFY", "token",
    "*", "http://localhost/token/", "http://h/x?/token", "ftp://localhost/token",
    "/prod/token", "/prod/prod/token", "/prod//token",
    "/a/b/token/verify",
    "/token/verify/x", "/token;x=y", "/token/verify;x", "\\token", "/token\\verify", "/%", "/%zz", "/\xff",
    "/token\x7f",
    "/token#x", "/../../../etc/passwd", "/..%2f..%2fetc/passwd", "/.git/config", "/.well-known/",
    "/.well-known/jwks.json/",
    "/.well-known/JWKS.json", "/health", "/health/", "/metrics/", "/admin", "/.env", "/prod/../token",
    "/" + "a/" * 2000,
])
def test_only_the_routes_own_paths_are_routes(server, basic, path):
    for request in (post(path, BODY, "application/json", basic), head("GET", path)):
        with server.wire() as wire:
            wire.send(request)
            wire.end()
            try:
                answer = wire.read()
            except Closed:
                continue
            assert answer.status in (400, 404, 414, 431), (path, answer.status, answer.body)


def test_what_stands_in_a_query_is_no_path(server):
    """RFC 9112 section 3.2.2: the path of the absolute form is what stands between host and query."""
    for target, is_root in (("http://h?x=/metrics", True), ("http://h/?x=/metrics", True), ("/?x=/metrics", True),
                            ("http://h/metrics", False), ("http://h/metrics?/", False)):
        with server.wire() as wire:
            answer = wire.call(head("GET", target))
            assert (answer.status, answer.body.startswith(b"# HELP")) == (200, not is_root), target


def test_options_of_the_whole_server_are_told(server):
    with server.wire() as wire:
        answer = wire.call(head("OPTIONS", "*"))
        assert (answer.status, answer.headers["allow"]) == (204, "GET, HEAD, POST, PATCH, DELETE, OPTIONS")
        assert wire.call(head("GET", "*")).status == 400


@pytest.mark.parametrize("request_", [
    b"HEAD /nothing HTTP/1.1\r\nHost: a\r\n\r\n", b"HEAD / HTTP/1.1\r\n\r\n", b"HEAD / HTTP/2.0\r\nHost: a\r\n\r\n",
    b"HEAD / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", b"HEAD / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n",
    b"HEAD x HTTP/1.1\r\nHost: a\r\n\r\n", b"HEAD / HTTP/1.1\r\nHost: a\r\nX Y: z\r\n\r\n", b"HEAD /\r\n\r\n",
    b"HEAD / HTTP/1.1\r\nX: " + b"y" * 10_000, b"HEAD /token HTTP/1.1\r\nHost: a\r\n\r\n",
    b"HEAD / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n", b"\r\nHEAD / HTTP/1.1\r\n\r\n",
    b"HEAD / HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 65 + b"\r\n", b"HEAD / HTTP"])
def test_an_error_to_head_has_no_body(server, request_):
    """RFC 9110 section 9.3.2."""
    with server.wire() as wire:
        wire.send(request_)
        wire.end()
        answer = wire.read(to_head=True)
        assert 400 <= answer.status <= 505 and int(answer.headers["content-length"]) > 0
        assert wire.is_closed() and wire.unread == b""


@pytest.mark.parametrize("query", ["?", "?x=y", "?token=a&token=b", "?%00", "?" + "x" * 5000, "?a?b"])
def test_a_query_is_not_looked_at(server, basic, query):
    with server.wire() as wire:
        answer = wire.call(post("/token/introspect" + query, BODY, "application/json", basic))
        assert answer.body == b'{"active":false}'


def test_a_request_id_that_could_harm_is_not_taken(server):
    for given in ("a b", 'a"b', "<script>", "a\tb", "x" * 65, "", "é", "a,b", "a;b", "a=b", "a/b", "%0d%0a"):
        with server.wire() as wire:
            answer = wire.call(head("GET", "/health/live", f"X-Request-Id: {given}"))
            assert answer.headers["x-request-id"] != given
            assert answer.headers["x-request-id"].isalnum()


# --- memory ---------------------------------------------------------------------------------------------------------

def test_thousands_of_bad_requests_leave_no_memory_behind(server, basic, sanitizer):
    """Every kind of the above, again and again. A sanitizer's own memory says nothing, but its report would."""
    requests = [request + SECOND for _, request in framings(basic) if len(request) < 50_000]
    for path in GOOD:
        bodies = [*list(not_json(path))[::6], b"[" * 60_000]
        requests += [post(path, body, "application/json", basic) for body in bodies]
        requests.append(post(path, b"%" * 1000, FORM, basic))
    times = 1 if sanitizer else 8

    def memory_after_all():
        for request in requests * times:
            with server.wire() as wire:
                wire.send(request)
                wire.read_some()
        server.until(lambda: server.metric("connections") <= 1, "connections are left open")
        return server.resident_kib()

    before = memory_after_all()
    after = memory_after_all()
    if not sanitizer:
        assert after - before < 1024, f"{times * len(requests)} bad requests left {after - before} KiB behind"
