"""Tokens that AWS KMS signs, one `Sign` call each: who verifies them, how the service asks, and what becomes of a
request when KMS is slow, throttles, fails, is away, has another time, or has the key no longer."""

import base64
import hashlib
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

import tokens
from issued import check_by_jose, check_by_pyjwt, kms_signature, published_spki, refuses_to_serve
from kms import SIGNING_ALGORITHMS
from service import run
from tokens import ALGORITHMS

FAILED = (503, "temporarily_unavailable")
PATIENT = {"TOKEN_KMS_TIMEOUT": "30", "TOKEN_KMS_TRY_TIMEOUT": "20"}  # a machine that stands still is no failure


@pytest.fixture
def start(start):  # pylint: disable=redefined-outer-name
    """That of all tests, with time limits that are met only where a test is about them."""
    return lambda *arguments, **settings: start(*arguments, **PATIENT | settings)


def outcome(answer):
    return answer.status_code, answer.json().get("error")


def signs(kms):
    return kms.calls("Sign")


# --- who verifies, and how KMS is asked -----------------------------------------------------------------------------


@pytest.mark.parametrize("alg", ALGORITHMS)
def test_a_token_that_kms_signed_is_good_everywhere(kms, start, jose_cli, alg):
    key = kms.create_key(alg)
    server = start(key, TOKEN_SIGNING_ALG=alg)
    token = server.token(server.agent, subject="user-1")
    header = tokens.header_of(token)
    assert header["alg"] == alg
    assert check_by_pyjwt(server, token, alg)["sub"] == "user-1"
    check_by_jose(jose_cli, server, token, alg)
    assert published_spki(server, header["kid"]) == kms.admin.get_public_key(KeyId=key)["PublicKey"]
    signed = token.rsplit(".", 1)[0].encode()
    message = ({"Message": signed, "MessageType": "RAW"} if alg == "EdDSA" else
               {"Message": hashlib.sha256(signed).digest(), "MessageType": "DIGEST"})
    assert kms.admin.verify(KeyId=key, Signature=kms_signature(token, alg), SigningAlgorithm=SIGNING_ALGORITHMS[alg],
                            **message)["SignatureValid"]
    assert server.is_active(server.agent, token)


@pytest.mark.parametrize("alg", ["PS256", "EdDSA"])
def test_a_token_costs_one_call_and_all_else_none(kms, start, alg):
    server = start(kms.create_key(alg), settled=True, TOKEN_SIGNING_ALG=alg)
    issued = [server.token(server.agent, tokenType=kind) for kind in ("access", "refresh", "id")]
    for token in issued:
        assert server.verify(server.agent, token).status_code == 200
        server.introspect(server.agent, token)
    server.jwks()
    server.revoke(server.agent, issued[0])
    calls = [call for call in kms.calls() if call.operation != "DescribeKey"]  # readiness
    assert [call.operation for call in calls] == ["Sign"] * 3
    for call in calls:
        assert call.trusted and call.status == 200
        assert call.body["MessageType"] == ("RAW" if alg == "EdDSA" else "DIGEST")
        assert call.body["SigningAlgorithm"] == SIGNING_ALGORITHMS[alg]
        assert call.body.keys() == {"KeyId", "Message", "MessageType", "SigningAlgorithm"}
        assert call.headers["content-type"] == "application/x-amz-json-1.1"
        assert call.headers["x-amz-security-token"] == kms.credentials.session_token
    assert len({call.connection for call in calls}) <= 2, "connections are kept alive"


@pytest.mark.parametrize("form", ["id", "arn", "alias", "alias arn"])
def test_a_key_may_be_named_in_each_of_kms_ways(kms, start, form):
    arn = kms.create_key("ES256")
    alias = kms.create_alias(f"alias/{form.replace(' ', '-')}-of-test", arn)
    name = {"id": arn.rsplit("/", 1)[1], "arn": arn, "alias": alias,
            "alias arn": arn.rsplit(":", 1)[0] + ":" + alias}[form]
    server = start(name, TOKEN_SIGNING_ALG="ES256")
    assert check_by_pyjwt(server, server.token(server.agent), "ES256")


def test_the_key_is_that_of_the_last_start(kms, start):
    server = start(kms.create_key("ES256"), TOKEN_SIGNING_ALG="ES256")
    token, before = server.token(server.agent), server.settled().jwks()
    server.stop()
    kms.forget_calls()
    server.start()
    assert server.jwks() == before
    assert server.is_active(server.agent, token)
    assert not kms.calls("CreateKey")


def test_the_private_key_is_nowhere_on_this_side(kms, start):
    server = start(kms.create_key("ES256"), TOKEN_SIGNING_ALG="ES256")
    server.token(server.agent)
    assert not list(server.data_dir.glob("*.pem"))
    assert not [path for path in server.data_dir.rglob("*") if path.is_file() and b"PRIVATE KEY" in path.read_bytes()]


# --- which signer ----------------------------------------------------------------------------------------------------


def test_without_a_key_of_kms_the_key_is_a_file(kms, start):
    server = start(TOKEN_SIGNING_ALG="ES256")
    assert check_by_pyjwt(server, server.token(server.agent), "ES256")
    assert list(server.data_dir.glob("signing-key-*.pem"))
    assert not kms.calls()


def test_the_setting_goes_before_what_the_key_would_say(kms, start):
    server = start(kms.create_key("ES256"), TOKEN_SIGNING_ALG="ES256", TOKEN_SIGNER="local")
    assert check_by_pyjwt(server, server.token(server.agent), "ES256")
    assert not kms.calls()


@pytest.mark.parametrize(("signer", "kind", "alg", "words"), [
    ("kms", "symmetric", "ES256", "(?i)symmetric|ENCRYPT_DECRYPT|SIGN_VERIFY"),
    ("envelope", "ES256", "ES256", "(?i)symmetric|ENCRYPT_DECRYPT|SIGN_VERIFY"),
    ("kms", None, "ES256", "KMS_KEY_ID"),
    ("envelope", None, "ES256", "KMS_KEY_ID"),
    ("auto", "ES256", "RS256", "RS256"),
    ("auto", "RS256", "ES256", "ES256"),
    ("auto", "EdDSA", "ES256", "ES256"),
    ("auto", "ES256", "EdDSA", "EdDSA"),
])
def test_a_key_of_the_wrong_kind_is_refused_at_the_start(kms, start, signer, kind, alg, words):
    key = kms.create_symmetric_key() if kind == "symmetric" else kms.create_key(kind) if kind else None
    refuses_to_serve(start(key, ready=False, TOKEN_SIGNER=signer, TOKEN_SIGNING_ALG=alg), words)


# --- KMS at the start ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", ["Disabled", "PendingDeletion"])
@pytest.mark.parametrize("again", [False, True])
def test_with_a_key_that_may_not_sign_it_does_not_start(kms, start, state, again):
    key = kms.create_key("ES256")
    server = start(key, ready=again, TOKEN_SIGNING_ALG="ES256")
    if again:
        server.stop()
    if state == "Disabled":
        kms.admin.disable_key(KeyId=key)
    else:
        kms.admin.schedule_key_deletion(KeyId=key, PendingWindowInDays=7)
    refuses_to_serve(server, "(?i)disabled" if state == "Disabled" else "(?i)deletion|deleted")


@pytest.mark.parametrize(("fault", "words"), [
    ("deny", "AccessDeniedException"), ("unknown", "(?i)no such key|knows no|not found|NotFoundException"),
    ("down", "(?i)KMS"), ("stranger", "UnrecognizedClientException"), ("none", "(?i)credentials")])
def test_without_kms_it_does_not_start_and_says_why(kms, start, fault, words):
    key, credentials = kms.create_key("ES256"), None
    if fault == "deny":
        kms.deny()
    elif fault == "unknown":
        key = key[:-4] + "0000"
    elif fault == "down":
        kms.proxy.down()
    elif fault == "stranger":
        credentials = kms.accounts.issue()
        kms.accounts.forget(credentials)
    elif fault == "none":
        credentials = False
    server = start(key, credentials, ready=False, TOKEN_SIGNING_ALG="ES256", AWS_EC2_METADATA_DISABLED="true",
                   HOME="/nonexistent")
    refuses_to_serve(server, words)


def test_an_endpoint_that_is_not_aws_is_not_believed(kms, start):
    """The published key comes from KMS, and each new key signs a test message that is checked against it."""
    mine, other = kms.create_key("ES256"), kms.create_key("ES256")
    public = kms.admin.get_public_key(KeyId=other)
    swapped = {"KeyId": mine, "KeySpec": "ECC_NIST_P256", "KeyUsage": "SIGN_VERIFY",
               "PublicKey": base64.b64encode(public["PublicKey"]).decode()}
    kms.answer(json.dumps(swapped).encode(), operation="GetPublicKey")
    refuses_to_serve(start(mine, ready=False, TOKEN_SIGNING_ALG="ES256"), "(?i)public|published")


@pytest.mark.parametrize(("host", "trusted", "words"), [
    ("localhost", True, None), ("localhost", False, "(?i)certificate|SSL|TLS"),
    ("127.0.0.1", True, "(?i)certificate|SSL|TLS|match")])
def test_the_endpoints_certificate_is_checked(kms, start, tmp_path, host, trusted, words):
    """Its issuer, and its name."""
    bundle = tmp_path / "ca.pem"
    port = kms.serve_tls("localhost", bundle)
    settings = {"AWS_ENDPOINT_URL_KMS": f"https://{host}:{port}", "TOKEN_SIGNING_ALG": "ES256"}
    settings |= {"AWS_CA_BUNDLE": str(bundle)} if trusted else {}
    server = start(kms.create_key("ES256"), ready=not words, **settings)
    if words:
        refuses_to_serve(server, words)
        assert not kms.calls(), "nothing was sent to whom it does not know"
    else:
        assert check_by_pyjwt(server, server.token(server.agent), "ES256")
        assert signs(kms)[-1].trusted


# --- faults while it serves ------------------------------------------------------------------------------------------


PASSING = [
    ("throttle", {}), ("break_inside", {}), ("drop", {"how": "before"}), ("drop", {"how": "middle"}),
    ("drop", {"how": "reset"}), ("answer", {"body": b"<html>Bad Gateway</html>", "status": 502}),
    ("fail", {"code": "com.amazon.coral.availability#ThrottlingException"}),
    ("fail", {"code": "DependencyTimeoutException", "status": 500}),
    ("fail", {"code": "KeyUnavailableException", "status": 500})]


def test_what_may_be_better_next_time_is_tried_again(kms, start):
    server = start(kms.create_key("ES256"), settled=True, TOKEN_SIGNING_ALG="ES256")
    for fault, options in PASSING:
        kms.forget_calls()
        getattr(kms, fault)(operation="Sign", times=2, **options)
        assert check_by_pyjwt(server, server.token(server.agent), "ES256")
        assert len(signs(kms)) == 3, (fault, options)
        assert signs(kms)[-1].at - signs(kms)[0].at < 15, "the time of one try was not waited for"
    assert server.get("/health/ready").status_code == 200


@pytest.mark.parametrize(("fault", "code"), [("throttle", "ThrottlingException"),
                                             ("break_inside", "KMSInternalException")])
def test_what_stays_bad_is_a_503_in_time(kms, start, fault, code):
    server = start(kms.create_key("ES256"), settled=True, TOKEN_SIGNING_ALG="ES256", TOKEN_KMS_TIMEOUT="8",
                   TOKEN_KMS_TRY_TIMEOUT="8")
    getattr(kms, fault)(operation="Sign")
    begin = time.monotonic()
    answer = server.ask(server.agent)
    assert time.monotonic() - begin < 20
    assert outcome(answer) == FAILED
    assert int(answer.headers["Retry-After"]) >= 1
    assert 2 <= len(signs(kms)) <= 50, "tried again, and not without a pause"
    server.names(code)
    assert code not in answer.text and "KMS" not in answer.json()["error_description"].replace("AWS KMS", "")
    kms.clear_faults()
    server.until(lambda: server.ask(server.agent).status_code == 200, "it never recovers")


def test_what_stays_bad_for_sure_is_not_tried_again(kms, start):
    server = start(kms.create_key("ES256"), settled=True, TOKEN_SIGNING_ALG="ES256")
    for code in ("AccessDeniedException", "NotFoundException", "InvalidKeyUsageException", "ValidationException",
                 "DisabledException", "KMSInvalidStateException"):
        kms.forget_calls()
        kms.fail(code, "no", operation="Sign", times=1)
        assert outcome(server.ask(server.agent)) == FAILED, code
        assert len(signs(kms)) == 1, code
        server.names(code)


def signature_answer(der):
    return json.dumps({"KeyId": "x", "SigningAlgorithm": "ECDSA_SHA_256",
                       "Signature": der if isinstance(der, str) else base64.b64encode(der).decode()}).encode()


NO_SIGNATURES = [
    b"", b"{}", b"[]", b"null", b"{", b'{"Signature":5}', b'{"Signature":null}',
    signature_answer(b""), signature_answer("!!!!"), signature_answer(b"\x30\x00"), signature_answer(b"\x00" * 64),
    signature_answer(b"\x30\x06\x02\x01\x00\x02\x01\x01"),                            # r is 0
    signature_answer(b"\x30\x06\x02\x01\x01\x02\x01\x81"),                            # s is negative
    signature_answer(b"\x30\x07\x02\x01\x01\x02\x01\x01\x00"),                        # more behind it
    signature_answer(b"\x30\x26\x02\x21\x01" + b"\xff" * 32 + b"\x02\x01\x01"),         # r is above 2^256
    signature_answer(b"\x30\x44" + b"\x02\x20" + b"\x11" * 32 + b"\x02\x20" + b"\x11" * 20),   # cut off
    signature_answer("A" * 8000), b'{"Signature":"' + b"A" * 4_000_000 + b'"}']


def test_an_answer_that_is_no_signature_makes_no_token(kms, start):
    server = start(kms.create_key("ES256"), TOKEN_SIGNING_ALG="ES256")
    for body in NO_SIGNATURES:
        kms.answer(body, operation="Sign")
        assert outcome(server.ask(server.agent)) == FAILED, body[:200]
        kms.clear_faults()
        server.until(lambda: server.ask(server.agent).status_code == 200, "it never recovers")


def test_a_slow_try_is_given_up_and_the_next_one_counts(kms, start):
    server = start(kms.create_key("ES256"), settled=True, TOKEN_SIGNING_ALG="ES256", TOKEN_KMS_TRY_TIMEOUT="1")
    kms.slow(30, operation="Sign", times=1)
    begin = time.monotonic()
    assert check_by_pyjwt(server, server.token(server.agent), "ES256")
    assert 0.9 < time.monotonic() - begin < 20


def test_a_kms_that_never_answers_ends_in_time_and_holds_up_nobody_else(kms, start):
    server = start(kms.create_key("ES256"), settled=True, TOKEN_SIGNING_ALG="ES256", TOKEN_KMS_TIMEOUT="8",
                   TOKEN_KMS_TRY_TIMEOUT="8")
    token = server.token(server.agent)
    kms.forget_calls()
    kms.slow(60, operation="Sign")
    answers, begin = [], time.monotonic()
    waiting = [threading.Thread(target=lambda: answers.append(outcome(server.ask(server.agent)))) for _ in range(8)]
    for thread in waiting:
        thread.start()
    server.until(lambda: len(signs(kms)) == 8, "they do not wait for KMS")
    for _ in range(5):
        assert server.is_active(server.agent, token)
        assert server.verify(server.agent, token).status_code == 200
        assert server.jwks()
    assert not answers, "verifying waits for no signature"
    for thread in waiting:
        thread.join(60)
    assert time.monotonic() - begin < 30
    assert answers == [FAILED] * 8


def test_the_breaker_opens_spares_kms_and_closes_again(kms, start):
    server = start(kms.create_key("ES256"), settled=True, TOKEN_SIGNING_ALG="ES256")
    kms.break_inside(operation="Sign")
    server.until(lambda: outcome(server.ask(server.agent)) == FAILED and server.metric("kms_breaker_open") == 1,
                 "the breaker stays closed")
    kms.forget_calls()
    begin = time.monotonic()
    for _ in range(10):
        answer = server.ask(server.agent)
        assert outcome(answer) == FAILED
        assert int(answer.headers["Retry-After"]) >= 1
    took_s = time.monotonic() - begin
    assert len(signs(kms)) <= 3 + took_s, "not more often than once a second; without it, each asks as often as it can"
    kms.clear_faults()
    server.until(lambda: server.ask(server.agent).status_code == 200, "it stays open")
    assert server.metric("kms_breaker_open") == 0


@pytest.mark.parametrize("ahead_s", [3600, -3600])
def test_a_wrong_clock_is_put_right(kms, start, ahead_s):
    """By the answer's Date; the tokens' own times stay this machine's."""
    key = kms.create_key("ES256")
    kms.set_clock(ahead_s)
    server = start(key, settled=True, TOKEN_SIGNING_ALG="ES256")
    assert not [call for call in signs(kms) if not call.trusted], "once it knows, it knows"
    claims = check_by_pyjwt(server, server.token(server.agent), "ES256")
    assert abs(claims["iat"] - time.time()) < 60
    kms.clear_faults()  # and back again
    assert check_by_pyjwt(server, server.token(server.agent), "ES256")


def test_when_kms_is_away_verifying_goes_on(kms, start):
    server = start(kms.create_key("ES256"), TOKEN_SIGNING_ALG="ES256")
    token, jwks = server.token(server.agent), server.jwks()
    kms.proxy.down()
    assert outcome(server.ask(server.agent)) == FAILED
    assert server.is_active(server.agent, token)
    assert server.verify(server.agent, token).status_code == 200
    assert server.jwks() == jwks
    assert server.revoke(server.agent, token).status_code == 200
    assert not server.is_active(server.agent, token)
    kms.proxy.up()
    server.until(lambda: server.ask(server.agent).status_code == 200, "it never recovers")


def test_an_open_breaker_says_what_failed_and_not_only_that_it_is_open(kms, start):
    server = start(kms.create_key("ES256"), settled=True, TOKEN_SIGNING_ALG="ES256")
    kms.proxy.down()
    server.until(lambda: outcome(server.ask(server.agent)) == FAILED and server.metric("kms_breaker_open") == 1,
                 "the breaker stays closed")

    def told():
        server.ask(server.agent)  # which keeps the breaker open
        return server.get("/health/ready").text

    said = ("called again", "refuses connections", f"127.0.0.1:{kms.proxy.port}")
    server.until(lambda: all(words in text for text in [told()] for words in said), lambda: f"readiness says {told()}")
    kms.proxy.up()
    server.until(lambda: server.get("/health/ready").status_code == 200, "it stays not ready")


def test_a_key_that_is_taken_away_turns_it_not_ready(kms, start):
    """Two servers, one key disabled and one to be deleted, so that the waiting is done once."""
    keys = {"disabled": kms.create_key("ES256"), "deletion": kms.create_key("ES256")}
    servers = {word: start(key, TOKEN_SIGNING_ALG="ES256") for word, key in keys.items()}
    issued = {word: server.token(server.agent) for word, server in servers.items()}
    kms.admin.disable_key(KeyId=keys["disabled"])
    kms.admin.schedule_key_deletion(KeyId=keys["deletion"], PendingWindowInDays=7)
    for server in servers.values():
        assert outcome(server.ask(server.agent)) == FAILED
    for word, server in servers.items():
        server.until(lambda one=server: one.get("/health/ready").status_code == 503, "it says that it is ready")
        told = server.get("/health/ready")
        assert (told.json()["status"], told.json()["checks"]["keys"]) == ("failing", "failing")
        assert word in told.text.lower(), "it says why"
        assert "arn:" not in told.text, "to anyone, so without the account"
        assert server.get("/health/live").status_code == 200
        assert server.is_active(server.agent, issued[word])
        assert server.jwks()["keys"]
    kms.admin.cancel_key_deletion(KeyId=keys["deletion"])
    for key in keys.values():
        kms.admin.enable_key(KeyId=key)
    for server in servers.values():
        server.until(lambda one=server: one.ask(one.agent).status_code == 200, "it never recovers")
        server.until(lambda one=server: one.get("/health/ready").status_code == 200, "it stays not ready")


# --- the quota, and what is told -------------------------------------------------------------------------------------


def test_the_rate_is_kept_before_kms_has_to_say_so(kms, start):
    server = start(kms.create_key("ES256"), settled=True, TOKEN_SIGNING_ALG="ES256", TOKEN_KMS_RATE="10")
    begin = time.monotonic()
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: outcome(server.ask(server.agent)), range(24)))
    assert answers == [(200, None)] * 24, "they wait for their turn"
    assert [(call.status, call.error) for call in signs(kms)] == [(200, None)] * 24
    for number, at in enumerate(sorted(call.at for call in signs(kms))):
        assert at - begin > (number - 3) / 10, f"{number + 1} signatures within {at - begin:.1f} s"


def test_a_rate_of_kms_is_waited_for(kms, start):
    """No error while the queue lasts: KMS allows 10 a second, and 30 want a token at once."""
    server = start(kms.create_key("ES256"), TOKEN_SIGNING_ALG="ES256")
    kms.proxy.limit(10)
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: outcome(server.ask(server.agent)), range(30)))
    assert answers == [(200, None)] * 30
    assert server.metric("kms_throttled_total") >= 1


def test_each_call_is_counted_by_its_outcome(kms, start):
    server = start(kms.create_key("ES256"), settled=True, TOKEN_SIGNING_ALG="ES256")
    before = server.metric("kms_calls_total", operation="Sign")
    kms.throttle(operation="Sign", times=2)
    server.token(server.agent)
    assert server.metric("kms_calls_total", operation="Sign") == before + 3
    assert server.metric("kms_throttled_total") == 2
    assert server.metric("kms_calls_total", operation="GetPublicKey") >= 1
    assert server.metric("kms_breaker_open") == 0
    assert server.metric("kms_sign_duration_seconds_count") >= 1


def test_expired_credentials_that_cannot_be_had_anew_are_a_503(kms, start):
    credentials = kms.accounts.issue()
    server = start(kms.create_key("ES256"), credentials, TOKEN_SIGNING_ALG="ES256")
    kms.accounts.expire(credentials)
    answer = server.ask(server.agent)
    assert outcome(answer) == FAILED
    server.names("ExpiredTokenException")
    assert "ExpiredToken" not in answer.text


def test_check_config_shows_no_secret_of_aws(kms):
    shown = run("serve", "--check-config", settings=kms.environment(kms.create_key("ES256"))).stdout
    assert not [secret for secret in kms.credentials.secrets if secret in shown]
    assert "KMS_KEY_ID=" in shown
