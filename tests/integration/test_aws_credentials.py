"""Each source of AWS credentials, in the order of the standard chain, and their renewal: before they expire, and when
AWS says that they have."""

import base64
import hashlib

import pytest

from credential_endpoints import Container, InstanceMetadata, Sts
from issued import check_by_pyjwt, refuses_to_serve
from kms import certificate_chain

# A call that KMS answers late is not made again: calls are counted here.
ES256 = {"TOKEN_SIGNING_ALG": "ES256", "HOME": "/nonexistent", "TOKEN_KMS_TIMEOUT": "60", "TOKEN_KMS_TRY_TIMEOUT": "30"}


@pytest.fixture
def key(kms):
    return kms.create_key("ES256")


def signs_with(kms, server, credentials):
    """Another server may have its own calls meanwhile; so whose is looked for by what was signed."""
    kms.forget_calls()
    token = server.token(server.agent)
    assert check_by_pyjwt(server, token, "ES256")
    digest = base64.b64encode(hashlib.sha256(token.rpartition(".")[0].encode()).digest()).decode()
    *_, last = [call for call in kms.calls("Sign") if call.body["Message"] == digest]
    assert last.who == credentials.access_key_id and last.trusted


def write_profile(path, name, credentials, key_line="[{}]"):
    path.write_text(key_line.format(name) + f"""
aws_access_key_id = {credentials.access_key_id}
aws_secret_access_key={credentials.secret_access_key}
aws_session_token = {credentials.session_token}
""")


@pytest.fixture(params=["web identity", "container", "instance metadata"])
def endpoint(request, kms, tmp_path):
    made = {"web identity": lambda: Sts(kms.accounts, tmp_path), "container": lambda: Container(kms.accounts, tmp_path),
            "instance metadata": lambda: InstanceMetadata(kms.accounts)}[request.param]()
    with made:
        yield made


def test_of_the_environment(kms, start, key):
    server = start(key, **ES256)
    signs_with(kms, server, kms.credentials)
    assert kms.calls("Sign")[0].headers["x-amz-security-token"] == kms.credentials.session_token


def test_of_the_environment_without_a_session(kms, start, key):
    credentials = kms.accounts.issue(session=False)
    server = start(key, credentials, **ES256)
    signs_with(kms, server, credentials)
    assert "x-amz-security-token" not in kms.calls("Sign")[0].headers


def test_of_an_endpoint(kms, start, key, endpoint):
    server = start(key, False, **ES256, **endpoint.environment())
    signs_with(kms, server, endpoint.issued[-1])
    fetched = len(endpoint.issued)
    for _ in range(5):
        server.token(server.agent)
    assert len(endpoint.issued) == fetched, "they are kept while they are good"


def test_they_are_renewed_before_they_expire(kms, start, key, endpoint):
    endpoint.life_s = 2
    kms.set_clock(-30)  # AWS is late to see that they expire: what was on its way then is no fault
    server = start(key, False, **ES256, **endpoint.environment())
    issued = len(endpoint.issued)
    server.until(lambda: server.token(server.agent) and len(endpoint.issued) > issued, "they are not renewed")
    assert not [call for call in kms.calls() if not call.trusted], "AWS never saw an expired one"


def test_they_are_renewed_when_aws_says_that_they_expired(kms, start, key, endpoint):
    server = start(key, False, **ES256, **endpoint.environment())
    kms.accounts.expire(endpoint.issued[-1])
    kms.forget_calls()
    server.token(server.agent)
    assert [call.error for call in kms.calls("Sign")] == ["ExpiredTokenException", None]


@pytest.mark.parametrize("kind", [Sts, Container])
def test_the_token_file_is_read_anew(kms, start, key, kind, tmp_path):
    with kind(kms.accounts, tmp_path) as endpoint:
        server = start(key, False, **ES256, **endpoint.environment())
        endpoint.rotate()
        kms.accounts.expire(endpoint.issued[-1])
        server.token(server.agent)
        signs_with(kms, server, endpoint.issued[-1])


def test_an_endpoint_that_fails_is_a_503_and_is_asked_again(kms, start, key, tmp_path):
    with Container(kms.accounts, tmp_path) as endpoint:
        server = start(key, False, **ES256, **endpoint.environment())
        kms.accounts.expire(endpoint.issued[-1])
        endpoint.broken = True
        answer = server.ask(server.agent)
        assert (answer.status_code, answer.json()["error"]) == (503, "temporarily_unavailable")
        endpoint.broken = False
        server.until(lambda: server.ask(server.agent).status_code == 200, "it never recovers")


def test_of_a_shared_file_and_again_when_the_file_has_changed(kms, start, key, tmp_path):
    shared, other = tmp_path / "credentials", kms.accounts.issue()
    first = kms.accounts.issue()
    write_profile(shared, "default", other)
    text = shared.read_text()
    write_profile(shared, "tests", first)
    shared.write_text("# of the tests\n" + text + "\n" + shared.read_text())
    server = start(key, False, **ES256, AWS_SHARED_CREDENTIALS_FILE=str(shared), AWS_PROFILE="tests",
                   AWS_EC2_METADATA_DISABLED="true")
    signs_with(kms, server, first)
    second = kms.accounts.issue()
    write_profile(shared, "tests", second)
    kms.accounts.expire(first)
    signs_with(kms, server, second)


def test_of_the_default_profile_and_of_the_config_file(kms, start, key, tmp_path):
    shared, config = tmp_path / "credentials", tmp_path / "config"
    first, second = kms.accounts.issue(), kms.accounts.issue()
    write_profile(shared, "default", first)
    write_profile(config, "tests", second, "[profile {}]")
    files = {"AWS_SHARED_CREDENTIALS_FILE": str(shared), "AWS_CONFIG_FILE": str(config),
             "AWS_EC2_METADATA_DISABLED": "true"}
    signs_with(kms, start(key, False, **ES256, **files), first)
    signs_with(kms, start(key, False, **ES256, **files, AWS_PROFILE="tests"), second)


def test_the_chain_has_the_order_of_the_sdks(kms, start, key, tmp_path):
    with Sts(kms.accounts, tmp_path) as sts, Container(kms.accounts, tmp_path) as container, \
            InstanceMetadata(kms.accounts) as metadata:
        everywhere = sts.environment() | container.environment() | metadata.environment()
        signs_with(kms, start(key, **ES256, **everywhere), kms.credentials)
        assert not sts.requests and not container.requests and not metadata.requests
        signs_with(kms, start(key, False, **ES256, **everywhere), sts.issued[-1])
        assert not container.requests and not metadata.requests
        signs_with(kms, start(key, False, **ES256, **container.environment(), **metadata.environment()),
                   container.issued[-1])
        assert not metadata.requests


def test_a_container_address_that_is_neither_https_nor_loopback_is_refused(kms, start, key):
    """Whoever can set that variable must not make the service send its authorization elsewhere in clear."""
    server = start(key, False, ready=False, **ES256, AWS_EC2_METADATA_DISABLED="true",
                   AWS_CONTAINER_AUTHORIZATION_TOKEN="t0ken-of-the-container",
                   AWS_CONTAINER_CREDENTIALS_FULL_URI="http://container.invalid/credentials")
    server.secrets.add("t0ken-of-the-container")
    refuses_to_serve(server, "(?i)AWS_CONTAINER_CREDENTIALS_FULL_URI|https|loopback")


def test_a_keys_arn_says_its_region(kms, start, key):
    """Whatever AWS_REGION says: KMS would refuse the signature otherwise."""
    server = start(key, **ES256, AWS_REGION="us-east-1")
    signs_with(kms, server, kms.credentials)


def test_a_region_that_is_not_the_keys_is_refused_at_the_start(kms, start, key):
    server = start(key.rsplit("/", 1)[1], ready=False, **ES256)
    server.settings["AWS_REGION"] = "us-east-1"
    refuses_to_serve(server, "(?i)region|InvalidSignatureException|us-east-1")


@pytest.mark.parametrize("kind, words", [
    ("refused", "AWS KMS \\(AWS_ENDPOINT_URL_KMS\\): http://127.0.0.1:1: it refuses connections"),
    ("unknown", "AWS KMS \\(AWS_ENDPOINT_URL_KMS\\): http://kms.invalid: its name is not known"),
    ("no tls", "AWS KMS \\(AWS_ENDPOINT_URL_KMS\\): https://127.0.0.1:\\d+: TLS with it failed"),
    ("untrusted", "AWS KMS \\(AWS_ENDPOINT_URL_KMS\\): https://localhost:\\d+: its certificate is not trusted"),
    ("another bundle", "AWS KMS \\(AWS_ENDPOINT_URL_KMS\\): https://localhost:\\d+: .*its certificate is"),
    ("no credentials", "there are no AWS credentials"),
    ("unknown credentials", "AWS KMS does not accept the AWS credentials"),
])
def test_the_sentence_says_why_kms_gave_no_answer(kms, start, key, tmp_path, kind, words):
    """And the host and the setting, where there is one: not that "no answer came in time"."""
    bundle = tmp_path / "bundle.pem"
    port = kms.serve_tls("localhost", bundle)
    settings = {"refused": {"AWS_ENDPOINT_URL_KMS": "http://127.0.0.1:1"},
                "unknown": {"AWS_ENDPOINT_URL_KMS": "http://kms.invalid"},
                "no tls": {"AWS_ENDPOINT_URL_KMS": kms.url.replace("http:", "https:")},
                "untrusted": {"AWS_ENDPOINT_URL_KMS": f"https://localhost:{port}"},
                "another bundle": {"AWS_ENDPOINT_URL_KMS": f"https://localhost:{port}", "AWS_CA_BUNDLE": str(bundle)},
                }.get(kind, {})
    if kind == "another bundle":
        bundle.write_bytes(certificate_chain("localhost", tmp_path / "chain.pem"))
    credentials = {"no credentials": False, "unknown credentials": kms.accounts.issue()}.get(kind)
    if kind == "unknown credentials":
        kms.accounts.forget(credentials)
    server = start(key, credentials, ready=False, **ES256, **settings, AWS_EC2_METADATA_DISABLED="true")
    refuses_to_serve(server, words)


def test_a_caller_is_not_told_where_kms_is(kms, start, key):
    server = start(key, **ES256)
    kms.proxy.down()
    answer = server.ask(server.agent)
    assert (answer.status_code, answer.json()["error"]) == (503, "temporarily_unavailable")
    assert "127.0.0.1" not in answer.text and "AWS KMS" in answer.text, answer.text
    kms.proxy.up()
